"""Full fine-tuning: all parameters are trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Card, Method, Range
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.utils.formatting import name_some

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FullSettings:
    """Full fine-tuning has no settings of its own."""


class Full(Method[FullSettings]):
    """Full fine-tuning."""

    name = "full"
    title = "Full fine-tuning"
    card = Card(
        idea="Every parameter of the model is trained; the yardstick of quality, and of cost.",
        formula=r"\theta^\ast = \arg\min_\theta \sum_{(x, y)} -\log p_\theta(y \mid x)",
        parameter_count="all of them",
        when_to_use=(
            "When data is plentiful and memory for gradients and optimizer state of every weight is at hand, and one "
            "whole copy of the model per task can be kept."
        ),
        paper="Radford et al. (2018), Improving Language Understanding by Generative Pre-Training",
        url="https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf",
        theory=(
            "No direction of the weights is closed to it, so it has the most room to learn, and to forget: on few "
            "examples it can distort features that pretraining had right, and lose out of distribution what it wins "
            "within (Kumar et al. 2022). Hence its small learning rates. In float32 with AdamW every parameter takes "
            "16 bytes: weight, gradient and two moments."
        ),
    )
    settings = FullSettings
    # The highest that Devlin et al. (2019), BERT, recommend, and the Trainer's own default.
    training_defaults = {"learning_rate": 5e-5}
    tunables = {"training.learning_rate": Range(low=5e-6, high=5e-3)}

    mergeable = True

    def build(self, base: PreTrainedModel, settings: FullSettings, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the base with all parameters trainable."""
        return base.requires_grad_(True)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write a plain transformers model."""
        cast("PreTrainedModel", model).save_pretrained(folder)

    def load(self, base: PreTrainedModel, folder: Path, settings: FullSettings) -> nn.Module:
        """Return the saved model, with the base's dtype and device; raise UserError if it lacks tensors."""
        from torch import nn

        from hf_peft_compare.data.position_ids import count_positions_from_mask, counts_positions

        loaded: Any = type(base).from_pretrained(folder, dtype=base.dtype, output_loading_info=True)
        model, info = loaded
        if lacking := sorted(info["missing_keys"]):
            raise UserError(f"{folder} lacks tensors of {type(base).__name__}: {name_some(lacking, 3)}.")
        nn.Module.to(model, base.device)
        if counts_positions(base):
            count_positions_from_mask(model)
        return model

    def merge(self, model: nn.Module) -> PreTrainedModel:
        """Return the model, which is already a plain transformers model."""
        return cast("PreTrainedModel", model)
