"""Median stopping: end a tuning trial early if it is worse than most earlier trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.training.callbacks.best_state import METRIC


class MedianStopping(TrainerCallback):
    """Stop training once a validation loss exceeds its threshold.

    Args:
        losses: the threshold of each evaluation, in order; later evaluations have none.
    """

    def __init__(self, losses: Sequence[float]):
        self.losses = losses

    def stops(self, log_history: Sequence[Mapping[str, float]]) -> bool:
        """Return whether a validation loss in a Trainer's log exceeds its threshold."""
        losses = [entry[METRIC] for entry in log_history if METRIC in entry]
        return any(loss > most for loss, most in zip(losses, self.losses, strict=False))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Stop training if the newest validation loss exceeds the threshold of its evaluation."""
        control.should_training_stop = control.should_training_stop or self.stops(state.log_history)
