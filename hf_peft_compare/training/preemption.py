"""Stop a run when a scheduler wants its machine back: at a checkpoint, from which the same run goes on elsewhere."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

SIGNALS = ("SIGTERM", "SIGUSR1")


class Preempted(BaseException):
    """A scheduler asked this process to end. Like KeyboardInterrupt, it is no failure of the run."""


class Preemption(TrainerCallback):
    """Save a checkpoint after the step in which a signal came, and raise Preempted once it is complete.

    Out of training, and with several processes, whose steps a signal does not reach alike, it is raised at once: what
    was done since the last checkpoint is done again. The last of a Trainer's callbacks, so that others see the save.
    """

    asked = False
    can_wait = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """From here on, a signal waits for the end of a step."""
        Preemption.can_wait = args.world_size == 1

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Ask the Trainer for a checkpoint; at an epoch's end it makes one anyway, after the validation."""
        ends_epoch = (state.epoch or 0.0).is_integer() and args.save_strategy == SaveStrategy.EPOCH
        control.should_save = control.should_save or (Preemption.asked and not ends_epoch)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Stop after the checkpoint."""
        if Preemption.asked:
            raise Preempted

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """From here on, a signal raises."""
        Preemption.can_wait = False
        if Preemption.asked:
            raise Preempted


@contextlib.contextmanager
def preemptible() -> Iterator[None]:
    """Let SIGTERM and SIGUSR1 stop the run within the block by raising Preempted.

    Raises:
        Preempted: a signal came.
    """

    def stop(*_: object) -> None:
        Preemption.asked = True
        if not Preemption.can_wait:
            raise Preempted

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        Preemption.asked = Preemption.can_wait = False
        for number, handler in before.items():
            signal.signal(number, handler)
