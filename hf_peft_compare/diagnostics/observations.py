"""Observations of a model's outputs and of a few training steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.models.trainable_parameters import named_trainables
from hf_peft_compare.records.parts import HistoryEntry


@dataclass(frozen=True, kw_only=True)
class ModelOutput:
    """The outputs of a model for the examples.

    Args:
        inputs: the model's inputs, including input_ids and attention_mask [B, T].
        logits: of the classes [B, C], or of each generated token [B, N, V].
        tokens: prompt and generated tokens [B, T + N], of a decoder of its own its first token and these [B, 1 + N];
            None for classes.
    """

    inputs: dict[str, Any]
    logits: Tensor
    tokens: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Training:
    """Observations of a few training steps.

    Args:
        logged: the log entries of each step.
        reached: the names of the trainables with a gradient, step by step.
        changed: the names of frozen tensors that changed.
        num_frozen: the number of frozen tensors.
    """

    logged: list[HistoryEntry]
    reached: list[set[str]]
    changed: list[str]
    num_frozen: int


class GradientWatch(TrainerCallback):
    """Record at each step which trainables have a finite gradient that is not zero everywhere."""

    def __init__(self) -> None:
        self.reached: list[set[str]] = []

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: object,
    ) -> None:
        """Record the trainables with a gradient in this step."""
        self.reached.append({name for name, p in named_trainables(model).items() if _has_gradient(p)})


def _has_gradient(parameter: nn.Parameter) -> bool:
    gradient = parameter.grad
    return gradient is not None and bool(gradient.any()) and bool(gradient.isfinite().all())


class Recorder:
    """A wrapper around a model that records the inputs and outputs of `generate`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, **settings: Any) -> Tensor:
        """Generate with the model, and record its inputs and outputs."""
        output = self._model.generate(**settings, output_logits=True, return_dict_in_generate=True)
        inputs = {name: settings[name] for name in ("input_ids", "attention_mask")}
        self.outputs = ModelOutput(inputs=inputs, logits=torch.stack(output.logits, dim=1), tokens=output.sequences)
        return output.sequences
