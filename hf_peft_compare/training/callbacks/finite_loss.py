"""Stop a run whose loss is NaN or infinite."""

from __future__ import annotations

import math

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.training.callbacks.best_state import METRIC


class FiniteLoss(TrainerCallback):
    """Raise RunFailed as soon as a logged training or validation loss is NaN or infinite."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Check the training loss and the gradient norm's loss."""
        self._check("training", (logs or {}).get("loss"), state, args)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Check the validation loss."""
        self._check("validation", (metrics or {}).get(METRIC), state, args)

    def _check(self, what: str, loss: float | None, state: TrainerState, args: TrainingArguments) -> None:
        if loss is not None and not math.isfinite(loss):
            raise RunFailed(
                f"the {what} loss is {loss} at step {state.global_step}: training diverged. "
                f"Lower training.learning_rate (it is {args.learning_rate:g})."
            )
