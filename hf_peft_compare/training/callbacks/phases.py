"""The phase of a Trainer: training, evaluation or saving."""

from __future__ import annotations

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

TRAIN, EVALUATION, SAVE, LOAD = "train", "evaluation", "save", "load"
PHASES = (TRAIN, EVALUATION, SAVE, LOAD)


class PhaseCallback(TrainerCallback, ExportableState):
    """Call `enter(phase)` whenever a Trainer changes its phase; None: outside of all phases.

    A Trainer announces evaluating and saving in its control beforehand, and calls back afterwards.
    """

    def enter(self, phase: str | None) -> None:
        """Leave the current phase and enter another."""
        raise NotImplementedError

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Enter training."""
        self.enter(TRAIN)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Leave training if the Trainer will evaluate or save next."""
        if control.should_evaluate or control.should_save:
            self.enter(EVALUATION if control.should_evaluate else SAVE)

    on_epoch_end = on_step_end

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Leave evaluation: enter saving or training."""
        self.enter(SAVE if control.should_save else TRAIN)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Leave saving."""
        self.enter(TRAIN)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Leave training."""
        self.enter(None)
