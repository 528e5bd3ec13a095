"""Terminal output while a study runs: a progress bar and a live line per run; plain lines without a terminal."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import LOG_FILE, PROGRESS_FILE

SECONDS_BETWEEN_LOOKS = 0.3
MARKS = {"finished": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[dim]=[/]"}


class ProgressDisplay:
    """Display the progress of a study's runs; call it with a job and its event."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
        )
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._bars: dict[Path, Any] = {}
        self._lock = threading.Lock()  # of the bars, which two threads change
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProgressDisplay:
        self.progress.start()
        self._checking = self.progress.add_task("checking the study", total=None, now="")
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._watcher.join()
        self.progress.stop()

    def __call__(self, job: Job, message: str) -> None:
        """Show that a run was "planned", "started", "skipped", "finished" or "failed", or another message about it."""
        if message == "planned":
            return
        self.progress.update(self._checking, visible=False)
        if message == "started":
            self._bars[job.folder] = self.progress.add_task(job.config.run, total=None, now="starting")
            return
        if message not in MARKS:
            self.console.print(Text(f"{job.config.run}: {message}"), soft_wrap=True)
            return
        with self._lock:
            bar = self._bars.pop(job.folder, None)
            if bar is not None:
                self.progress.remove_task(bar)
        self.console.print(f"{MARKS[message]} {job.config.run}", Text(summarize(job, message)), soft_wrap=True)

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
            self.look()

    def look(self) -> None:
        """Show the current state of the runs that go on."""
        for folder in list(self._bars):
            progress = read_progress(folder)
            with self._lock:
                if progress and folder in self._bars:  # it may have ended since
                    loss = f", loss {progress['loss']:.3f}" if progress["loss"] is not None else ""
                    steps = {"completed": progress["step"], "total": progress["num_steps"] or None}
                    self.progress.update(self._bars[folder], now=f"{progress['phase']}{loss}", **steps)


def read_progress(folder: Path) -> dict[str, Any] | None:
    """Read the current state of a run; None if it has not started."""
    try:
        return json.loads((folder / PROGRESS_FILE).read_text())
    except (OSError, ValueError):
        return None


def summarize(job: Job, message: str) -> str:
    """Return one line with the outcome of a run."""
    try:
        record = read_record(job.folder)
    except (OSError, UserError):  # it could not be recorded
        return message
    if message == "failed":
        return f"failed: {record.error} (log: {job.folder / LOG_FILE})"
    losses = {"test loss": record.results.get("test_loss")}
    if job.config.trial is not None and record.validation is not None:  # a trial does not use the test split
        losses = {"validation loss": record.validation.best_loss}
    ranking = [name for name in record.scores if name in record.results][:1]
    parts = [f"{record.scores[name].title} {record.results[name]:.3f}" for name in ranking]
    parts += [f"{name} {loss:.3f}" for name, loss in losses.items() if loss is not None]
    parts.append(f"{record.seconds.train or 0:.1f} s training")
    return ", ".join([*parts, *(["finished before, unchanged"] if message == "skipped" else [])])
