"""What every place where runs are done has in common."""

from __future__ import annotations

import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from hf_peft_compare.core.errors import REQUEUE
from hf_peft_compare.orchestration.jobs import Job


@dataclass(frozen=True)
class State:
    """Where a submitted job is: "waiting", "running", or "gone", with the reason if it has left no record."""

    phase: Literal["waiting", "running", "gone"]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a run is started: its processes, and how they share a model.

    Args:
        max_parallel: the most runs at the same time; None: as many as there is room for.
        num_processes: processes per run.
        accelerate_config: config file for `accelerate launch` with several; None: each holds the whole model.
    """

    max_parallel: int | None = None
    num_processes: int = 1
    accelerate_config: Path | None = None

    def command_of(self, file: Path, *options: str) -> list[str]:
        """Return the command that runs the job in a file, in one process or several with `accelerate launch`.

        Args:
            options: of `train-job`.
        """
        train = ["hf_peft_compare", "train-job", *options, str(file)]
        if self.num_processes == 1:
            return [sys.executable, "-m", *train]
        how = ["--multi_gpu"] if self.accelerate_config is None else ["--config_file", str(self.accelerate_config)]
        how += ["--num_processes", str(self.num_processes), "--main_process_port", "0"]  # any free port
        return [sys.executable, "-m", "accelerate.commands.launch", *how, "-m", *train]


class Executor(ABC):
    """Do jobs somewhere. Whether a run is finished is said by its record, never by an executor.

    Attributes:
        capacity: the most jobs that are submitted and not gone.
        num_retries: how often a job is submitted again that is gone without a record.
        outlives: whether submitted jobs go on when this process ends, and another one may ask for them.
        seconds_between_polls: time from one look at the jobs to the next.
        seconds_to_appear: how long a file may take to appear that another machine has written.
    """

    name: ClassVar[str]
    capacity: int = 1_000
    num_retries: int = 3
    outlives: bool = False
    seconds_between_polls: float = 1.0
    seconds_to_appear: float = 0.0

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit jobs whose folders are prepared; return a handle for each.

        Raises:
            UserError: they were refused, as for resources that do not exist.
        """

    @abstractmethod
    def poll(self, handles: Collection[str]) -> Mapping[str, State]:
        """Return the state of each handle."""

    @abstractmethod
    def cancel(self, handles: Collection[str]) -> None:
        """Stop what was submitted, and return once it has stopped or is going to."""

    def preview(self, jobs: Sequence[Job]) -> str:
        """Return what would be submitted, for `--dry-run`; empty: nothing but the jobs."""
        return ""


def describe_status(status: int) -> str:
    """Return what a process's exit status says of its end."""
    if status == REQUEUE:
        return "stopped by the scheduler"
    if status > 128:  # as a shell reports the death of its command
        status = 128 - status
    if status < 0:
        return f"killed by signal {-status} ({signal.Signals(-status).name})"
    return f"ended with status {status}"


def environment() -> dict[str, str]:
    """Return this process's environment, with which a child finds the same plugins, as a module next to a script."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
