"""Median stopping: end a tuning trial early if it is worse than most earlier trials."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.training.callbacks.best_state import METRIC


class MedianStopping(TrainerCallback):
    """Stop training once a validation loss exceeds its threshold.

    Args:
        losses: the threshold of each evaluation, in order; later evaluations have none.
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
        """Compare the newest validation loss with the threshold of its evaluation."""
        number = sum(METRIC in entry for entry in state.log_history)
        if 0 < number <= len(self.losses) and (metrics or {})[METRIC] > self.losses[number - 1]:
            control.should_training_stop = True
