"""Notebook output while a study runs: a table of rows and seeds, each run's state, and the planned time left.

It needs neither scripts nor widgets: one HTML output that is updated while the runs progress.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.orchestration.progress_display import read_progress, summarize

SECONDS_BETWEEN_LOOKS = 1.0
MARKS = {"finished": "✓", "failed": "✗", "skipped": "=", "started": "▸", "interrupted": "◼"}
CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0"


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    with contextlib.suppress(ImportError):
        from IPython import get_ipython

        shell = get_ipython()
        return shell is not None and hasattr(shell, "kernel")
    return False


class NotebookProgress:
    """Display the progress of a study's runs; call it with a job and its event."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.runs: dict[tuple[str, int], str] = {(job.config.row, job.config.seed): "" for job in jobs}
        self._now: dict[Path, Job] = {}
        self._left: dict[Path, float] = {}  # planned seconds of runs that are not finished
        self._begun: dict[Path, float] = {}
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._output: Any = None

    def __enter__(self) -> NotebookProgress:
        from IPython.display import HTML, display

        self._output = display(HTML(self.render()), display_id=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._watcher.join()
        for job in self._now.values():
            self._set(job, f"{MARKS['interrupted']} interrupted; the same call resumes from the last checkpoint")
        self._now.clear()
        self._show()

    def __call__(self, job: Job, message: str) -> None:
        """Show that a run was "planned", "started", "skipped", "finished" or "failed", or another message about it."""
        if message == "planned":
            seconds = job.plan.seconds.values() if job.plan is not None else ()
            self._left[job.folder] = sum(value for value in seconds if value is not None)
            return
        if message == "started":
            self._now[job.folder], self._begun[job.folder] = job, monotonic()
            self._set(job, f"{MARKS[message]} starting")
            return
        if message not in MARKS:
            self._set(job, message)
            return
        self._now.pop(job.folder, None)
        self._left.pop(job.folder, None)
        self._set(job, f"{MARKS[message]} {summarize(job, message)}")

    def render(self) -> str:
        """Return the table as HTML; text from outside is escaped."""
        rows, seeds = (list(dict.fromkeys(values)) for values in zip(*self.runs, strict=True))
        head = "".join(f"<th style='{CELL}'>seed {seed}</th>" for seed in seeds)
        body = "".join(
            f"<tr><th style='{CELL}'>{escape(row)}</th>"
            + "".join(f"<td style='{CELL}'>{escape(self.runs.get((row, seed), ''))}</td>" for seed in seeds)
            + "</tr>"
            for row in rows
        )
        return f"<table><tr><th></th>{head}</tr>{body}</table><p>{escape('; '.join(self._remarks()))}</p>"

    def _remarks(self) -> Iterator[str]:
        if self._stop.is_set():
            return
        if not self._left and not self._now and not any(self.runs.values()):
            yield "checking the study"
        if seconds := self.seconds_left():
            yield f"about {max(1, round(seconds / 60))} min left by the plan"

    def seconds_left(self) -> float:
        """Return the planned seconds of all runs that are not finished, run one after the other."""
        spent = {folder: monotonic() - self._begun[folder] for folder in list(self._now)}
        return sum(max(0.0, seconds - spent.get(folder, 0.0)) for folder, seconds in list(self._left.items()))

    def _set(self, job: Job, text: str) -> None:
        key = (job.config.row, job.config.seed)
        seed = key[1] if key in self.runs else next(s for row, s in self.runs if row == job.config.row)
        trial = "" if job.config.trial is None else f"trial {job.config.trial + 1}: "
        self.runs[(job.config.row, seed)] = trial + text

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
            for folder, job in list(self._now.items()):
                progress = read_progress(folder)
                if progress:
                    self._set(job, f"{MARKS['started']} {_describe(progress)}")
            self._show()

    def _show(self) -> None:
        from IPython.display import HTML

        self._output.update(HTML(self.render()))


def _describe(progress: dict[str, Any]) -> str:
    steps = f", step {progress['step']} of {progress['num_steps']}" if progress["num_steps"] else ""
    loss = f", loss {progress['loss']:.3f}" if progress["loss"] is not None else ""
    return f"{progress['phase']}{steps}{loss}"
