"""The number of trainable parameters, and the hash of their values before the first step."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from hf_peft_compare.models.trainable_parameters import count_parameters, hash_trainables


class TrainableParameters(TrainerCallback, ExportableState):
    """Count parameters and hash the initial trainable parameters when training begins.

    | key               | what it is                                           |
    |-------------------|------------------------------------------------------|
    | counts            | trainable_params and total_params, shared ones once  |
    | initial_sha256    | hash of the trainable parameters before the first step |
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.initial_sha256: str | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: object,
    ) -> None:
        """Count and hash, unless a checkpoint restored the hash of the run's actual start."""
        self.counts = count_parameters(model)
        if self.initial_sha256 is None:
            self.initial_sha256 = hash_trainables(model)

    def state(self) -> dict[str, Any]:
        """Return the state that checkpoints save."""
        return {"args": {}, "attributes": {"counts": self.counts, "initial_sha256": self.initial_sha256}}
