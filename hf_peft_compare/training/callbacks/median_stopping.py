"""Giving up: a trial that is worse than most before it is stopped early."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.training.callbacks.best_state import METRIC


class MedianStopping(TrainerCallback):
    """Stop training once a validation loss is above what it has to stay below.

    Args:
        losses: one for each evaluation, in order; later ones are not judged.
    """

    def __init__(self, losses: Sequence[float]):
        self.losses = losses

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Compare the newest validation loss with the one of its place."""
        number = sum(METRIC in entry for entry in state.log_history)
        if 0 < number <= len(self.losses) and (metrics or {})[METRIC] > self.losses[number - 1]:
            control.should_training_stop = True
