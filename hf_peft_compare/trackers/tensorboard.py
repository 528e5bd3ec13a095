"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.core.tracker import TrackedRun, TrackedTable, Tracker
from hf_peft_compare.utils.markdown import plain_table

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardTracker(Tracker):
    """Write a run's event files to `tensorboard/` in its folder, so that `--logdir` of the study's folder shows all.

    The variable TENSORBOARD_LOGGING_DIR, which is transformers' too, names another folder for all studies. Figures are
    scalars at the last step; settings, sentences and tables are texts.
    """

    name = "tensorboard"
    title = "TensorBoard"
    package = "tensorboard"
    install = "'hf_peft_compare[tensorboard]'"

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None
        self._step = 0

    def start(self, run: TrackedRun) -> None:
        """Open an event file; those of an interrupted attempt stay, and the curves go on."""
        from torch.utils.tensorboard import SummaryWriter

        elsewhere = os.environ.get("TENSORBOARD_LOGGING_DIR")
        folder = Path(elsewhere).expanduser() / run.study / run.name if elsewhere else run.folder / self.name
        self._writer = SummaryWriter(log_dir=str(folder))
        if run.config:
            settings = json.dumps(run.config, indent=1, ensure_ascii=False, default=str)
            self._writer.add_text("config", "".join(f"    {line}\n" for line in settings.splitlines()))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add scalars."""
        assert self._writer is not None
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, figures: Mapping[str, str | float], tables: Mapping[str, TrackedTable]) -> None:
        """Add figures and tables."""
        assert self._writer is not None
        for name, value in figures.items():
            if isinstance(value, str):
                self._writer.add_text(name, value.replace("\n", "\n\n"), self._step)
            else:
                self._writer.add_scalar(name, value, self._step)
        for name, table in tables.items():
            self._writer.add_text(name, plain_table(table.columns, table.rows), self._step)

    def close(self, *, failed: bool) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
