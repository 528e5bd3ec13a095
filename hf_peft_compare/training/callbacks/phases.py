"""Which phase a Trainer is in: training, evaluating or saving."""

from __future__ import annotations

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

TRAIN, EVALUATION, SAVE, LOAD = "train", "evaluation", "save", "load"
PHASES = (TRAIN, EVALUATION, SAVE, LOAD)


class PhaseCallback(TrainerCallback, ExportableState):
    """Call `enter(phase)` whenever a Trainer goes from one phase to another; None: outside of all.

    A Trainer says beforehand, in its control, that it will evaluate or save next, and afterwards that it has.
    """

    def enter(self, phase: str | None) -> None:
        """Leave the present phase and begin another."""
        raise NotImplementedError

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Begin training."""
        self.enter(TRAIN)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Leave training where the Trainer will evaluate or save next."""
        if control.should_evaluate or control.should_save:
            self.enter(EVALUATION if control.should_evaluate else SAVE)

    on_epoch_end = on_step_end

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Evaluation is over: saving comes next, or training."""
        self.enter(SAVE if control.should_save else TRAIN)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Saving is over."""
        self.enter(TRAIN)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Training is over."""
        self.enter(None)
