"""Giving up: a trial that is worse than most before it is stopped early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback

from hf_peft_compare.training.callbacks.best_state import METRIC


class MedianStopping(TrainerCallback):
    """Stop training once a validation loss is above what it has to stay below.

    Args:
        losses: one for each evaluation, in order; later ones are not judged.
    """

    def __init__(self, losses: Sequence[float]):
        self.losses = losses

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """Compare the newest validation loss with the one of its place."""
        number = sum(METRIC in entry for entry in state.log_history)
        if 0 < number <= len(self.losses) and metrics[METRIC] > self.losses[number - 1]:
            control.should_training_stop = True
