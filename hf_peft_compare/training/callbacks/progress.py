"""A run's progress in a small file that another process displays."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from time import monotonic

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.records.run_folder import PROGRESS_FILE
from hf_peft_compare.utils.files import PARTIAL

SECONDS_BETWEEN_WRITES = 0.3


class ProgressFile(TrainerCallback):
    """Write a run's current state: `phase`, `step` of `num_steps`, and the last `loss`.

    Args:
        folder: the run's folder; None: nothing is written (on all processes but the first).
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.loss: float | None = None
        self._written = 0.0

    def update(self, phase: str, *, step: int = 0, num_steps: int = 0, force: bool = True) -> None:
        """Write the progress, at most a few times a second unless forced."""
        if self.folder is None or not self.folder.is_dir():  # invalid input leaves no folder behind
            return
        if not (force or monotonic() - self._written > SECONDS_BETWEEN_WRITES):
            return
        self._written = monotonic()
        progress = {"phase": phase, "step": step, "num_steps": num_steps, "loss": self.loss}
        temporary = self.folder / f".{PROGRESS_FILE}{PARTIAL}"
        with suppress(OSError):  # a full disk: whether the run can go on is seen elsewhere
            temporary.write_text(json.dumps(progress))
            temporary.replace(self.folder / PROGRESS_FILE)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Write the step."""
        self.update("training", step=state.global_step, num_steps=state.max_steps, force=False)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Store the loss."""
        self.loss = (logs or {}).get("loss", self.loss)
