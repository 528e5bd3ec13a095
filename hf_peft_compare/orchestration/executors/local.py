"""This machine: each run in a child process, on a slot of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Sequence
from typing import Any

from hf_peft_compare.core.errors import INTERRUPTED
from hf_peft_compare.orchestration.children import TERMINATED, start_child
from hf_peft_compare.orchestration.executors.executor import Executor, Launch, State, describe_status, environment
from hf_peft_compare.orchestration.job_files import write_job
from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.orchestration.slots import Slot
from hf_peft_compare.orchestration.worker import train_in_child
from hf_peft_compare.records.run_folder import LOG_FILE
from hf_peft_compare.utils.files import open_to_append

SECONDS_TO_END = 30.0  # of a child that was told to


class LocalExecutor(Executor):
    """Run jobs in child processes, which end when this one ends. A killed run is not repeated: it is killed again."""

    name = "local"
    num_retries = 0
    seconds_between_polls = 0.05

    def __init__(self, slots: Sequence[Slot], launch: Launch) -> None:
        self.capacity = len(slots)
        self._free = list(slots)
        self._launch = launch
        self._running: dict[str, tuple[_Child, Slot]] = {}

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Start a child process for each job."""
        handles = []
        for job in jobs:
            slot = self._free.pop(0)
            child = _Child(job, slot) if self._launch.num_processes == 1 else _Launched(job, self._launch)
            handles.append(str(child.process.pid))
            self._running[handles[-1]] = child, slot
        return handles

    def poll(self, handles: Collection[str]) -> dict[str, State]:
        """Return which children have ended; raise KeyboardInterrupt if one of them was interrupted."""
        return {handle: self._state(handle) for handle in handles}

    def _state(self, handle: str) -> State:
        child, slot = self._running[handle]
        if (status := child.status) is None:
            return State("running")
        if status == INTERRUPTED:
            raise KeyboardInterrupt
        if status == TERMINATED:
            time.sleep(1)  # a signal to the whole process group may end a child before this process has heard of it
        del self._running[handle]
        self._free.append(slot)
        return State("gone", describe_status(status))

    def cancel(self, handles: Collection[str]) -> None:
        """Terminate the children and wait for their end."""
        children = [self._running[handle][0] for handle in handles if handle in self._running]
        for child in children:
            child.process.terminate()
        for child in children:
            child.wait()


class _Child:
    """A run in a process that was forked with everything imported."""

    def __init__(self, job: Job, slot: Slot) -> None:
        self.process: Any = start_child(train_in_child, job, slot)

    @property
    def status(self) -> int | None:
        """The exit status; None: it runs."""
        return self.process.exitcode

    def wait(self) -> None:
        """Wait for the end of a process that was told to end, and kill it if that takes too long."""
        self.process.join(SECONDS_TO_END)
        self.process.kill()


class _Launched(_Child):
    """A run in the processes of `accelerate launch`."""

    def __init__(self, job: Job, launch: Launch) -> None:
        command = launch.command_of(write_job(job), "--watch-stdin")
        with open(open_to_append(job.folder / LOG_FILE), "a") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment())

    @property
    def status(self) -> int | None:
        """The exit status; None: it runs."""
        return self.process.poll()

    def wait(self) -> None:
        """Wait for the end of a process that was told to end, and kill it if that takes too long."""
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
