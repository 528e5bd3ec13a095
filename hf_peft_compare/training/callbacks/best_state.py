"""The best trainable state by validation loss, saved to disk, with early stopping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from hf_peft_compare.models.trainable_parameters import save_trainables
from hf_peft_compare.records.parts import Validation

METRIC = "eval_nats_per_label"
BEST_FILE = "best.safetensors"


class BestState(TrainerCallback, ExportableState):
    """Save the trainable parameters whenever the validation loss is the lowest so far, and stop early.

    The file is in the Trainer's output folder, not in one that a checkpoint names: a study's folder may have been moved
    since. Only trainable parameters are saved, so the file is small and this works for every method; transformers' own
    `load_best_model_at_end` fails for prompt learning and some adapters.

    Args:
        patience: evaluations without improvement before training stops; None: never.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.best_loss = math.inf
        self.best_step = 0
        self.best_epoch = 0.0
        self.evaluations_without_improvement = 0

    @property
    def out_of_patience(self) -> bool:
        """Whether training should stop."""
        return self.patience is not None and self.evaluations_without_improvement >= self.patience

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        model: Any = None,
        **_: object,
    ) -> None:
        """Save the state if it is the best; stop training when patience runs out."""
        if (metrics or {})[METRIC] < self.best_loss:
            self.best_loss, self.best_step, self.best_epoch = (metrics or {})[METRIC], state.global_step, state.epoch
            self.evaluations_without_improvement = 0
            save_trainables(model, Path(args.output_dir or ".") / BEST_FILE, writes=state.is_world_process_zero)
        else:
            self.evaluations_without_improvement += 1
        if self.out_of_patience:
            control.should_training_stop = True

    def result(self) -> Validation:
        """Return the lowest validation loss, and when it was reached."""
        return Validation(best_loss=self.best_loss, best_step=self.best_step, best_epoch=self.best_epoch)

    def state(self) -> dict[str, Any]:
        """Return the state that checkpoints save."""
        attributes = ("best_loss", "best_step", "best_epoch", "evaluations_without_improvement")
        return {
            "args": {"patience": self.patience},
            "attributes": {name: getattr(self, name) for name in attributes},
        }
