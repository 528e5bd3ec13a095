"""Submit jobs to an executor and follow each until its record says how it ended.

A job that is gone without a record, as after the death of its node, is submitted again and goes on from its last
checkpoint; if it is lost too often, its record says so. Where jobs outlive this process, each run's folder holds a
ticket, by which a later process finds the job in the queue instead of submitting it twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.orchestration.executors.executor import Executor, State
from hf_peft_compare.orchestration.job_files import JOB_FILE
from hf_peft_compare.orchestration.jobs import Job, OnEvent
from hf_peft_compare.orchestration.worker import note_failure
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import LOG_FILE, RECORD_FILE, DamagedRun
from hf_peft_compare.utils.files import write_text_atomically

TICKET_FILE = "ticket.json"


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What was submitted for a run: to which executor, under which handle, and how often it was lost before."""

    executor: str
    handle: str
    num_lost: int = 0


def read_ticket(folder: Path) -> Ticket | None:
    """Return the ticket in a run's folder; None: there is none that can be read."""
    try:
        return parse(Ticket, json.loads((folder / TICKET_FILE).read_text()), where=TICKET_FILE, if_missing="")
    except (OSError, ValueError, UserError):
        return None


def supervise(jobs: Sequence[Job], executor: Executor, on_event: OnEvent) -> dict[str, str]:
    """Do jobs; return the outcome of each run by its name: "finished", "failed" or "skipped".

    Args:
        on_event: called with a job and "started", an outcome, or a sentence about it.

    Raises:
        UserError: the executor refuses the jobs.
        KeyboardInterrupt: as it says; jobs that do not outlive this process have been stopped.
    """
    supervisor = _Supervisor(executor, on_event)
    try:
        return supervisor.do(jobs)
    except BaseException as error:
        if not executor.outlives:
            executor.cancel(list(supervisor.submitted))
        elif supervisor.submitted and isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"{len(supervisor.submitted)} run(s) go on with {executor.name}: the same command follows them again, "
                f"`hf-peft-compare cancel` stops them."
            ) from None
        raise


class _Supervisor:
    def __init__(self, executor: Executor, on_event: OnEvent) -> None:
        self.executor, self.on_event = executor, on_event
        self.submitted: dict[str, Job] = {}
        self._outcomes: dict[str, str] = {}
        self._num_lost: dict[str, int] = {}
        self._started: set[str] = set()

    def do(self, jobs: Sequence[Job]) -> dict[str, str]:
        self._waiting = deque(self._without_those_in_the_queue(jobs))
        while self._waiting or self.submitted:
            room = self.executor.capacity - len(self.submitted)
            self._submit([self._waiting.popleft() for _ in range(min(room, len(self._waiting)))])
            for handle, state in self.executor.poll(list(self.submitted)).items():
                self._follow(handle, state)
            if self.submitted:
                time.sleep(self.executor.seconds_between_polls)
        return {job.config.run: self._outcomes[job.config.run] for job in jobs}

    def _without_those_in_the_queue(self, jobs: Sequence[Job]) -> list[Job]:
        """Follow the jobs that an earlier process has submitted, and return the others."""
        tickets = {}
        for job in jobs if self.executor.outlives else ():
            ticket = read_ticket(job.folder)
            if ticket is not None and ticket.executor == self.executor.name:
                tickets[job.config.run] = ticket
        states = self.executor.poll([ticket.handle for ticket in tickets.values()]) if tickets else {}
        others = []
        for job in jobs:
            ticket = tickets.get(job.config.run)
            if ticket is None or states[ticket.handle].phase == "gone":
                others.append(job)
            elif job.state == "changed":
                self.executor.cancel([ticket.handle])
                others.append(job)
            else:
                self.submitted[ticket.handle] = job
                self._num_lost[job.config.run] = ticket.num_lost
        return others

    def _submit(self, jobs: Sequence[Job]) -> None:
        ready = [job for job in jobs if self._is_ready(job)]
        if not ready:
            return
        for job, handle in zip(ready, self.executor.submit(ready), strict=True):
            self.submitted[handle] = job
            if self.executor.outlives:
                num_lost = self._num_lost.get(job.config.run, 0)
                ticket = Ticket(executor=self.executor.name, handle=handle, num_lost=num_lost)
                write_text_atomically(job.folder / TICKET_FILE, json.dumps(asdict(ticket)))

    def _is_ready(self, job: Job) -> bool:
        """Prepare a job's folder; false: it was finished by another process meanwhile, or cannot be prepared."""
        try:
            if job.state == "finished":
                self._end(job, "skipped")
                return False
            if moved := job.prepare():
                self.on_event(job, moved)
            return True
        except OSError as error:  # only this run's: the others go on
            self._fail(job, error)
            return False

    def _follow(self, handle: str, state: State) -> None:
        job = self.submitted[handle]
        if handle not in self._started and (state.phase == "running" or self._has_record(job)):
            self._started.add(handle)
            self.on_event(job, "started")
        if state.phase != "gone":
            return
        del self.submitted[handle]
        try:
            if self._has_record(job, seconds=self.executor.seconds_to_appear):
                self._end(job, "finished" if _is_finished(job.folder) else "failed")
            else:
                self._lost(job, state.reason)
        except OSError as error:
            self._fail(job, error)

    def _lost(self, job: Job, reason: str) -> None:
        name = job.config.run
        self._num_lost[name] = self._num_lost.get(name, 0) + 1
        if not (job.folder / LOG_FILE).exists():
            reason += f", and nothing was written into {job.folder}: is it on a file system that all nodes share?"
        if self._num_lost[name] <= self.executor.num_retries:
            self.on_event(job, f"lost ({reason}); submitted again, to go on from its last checkpoint")
            self._waiting.append(job)
            return
        often = f", {self._num_lost[name]} times" if self.executor.num_retries else ""
        note_failure(job, f"the run's process was {reason}{often}; see {job.folder / LOG_FILE}")
        self._end(job, "failed")

    def _fail(self, job: Job, error: OSError) -> None:
        self._end(job, "failed")
        self.on_event(job, f"could not be prepared or recorded: {error}")

    def _end(self, job: Job, outcome: str) -> None:
        self._outcomes[job.config.run] = outcome
        for name in (TICKET_FILE, JOB_FILE):
            with contextlib.suppress(OSError):
                (job.folder / name).unlink(missing_ok=True)
        self.on_event(job, outcome)

    @staticmethod
    def _has_record(job: Job, *, seconds: float = 0.0) -> bool:
        """Whether a run has left a record, which another machine may see some seconds after it was written."""
        end = time.monotonic() + seconds
        while not (job.folder / RECORD_FILE).exists():
            if time.monotonic() >= end:
                return False
            time.sleep(min(seconds, 0.5))
            os.listdir(job.folder)  # makes a network file system look again
        return True


def _is_finished(folder: Path) -> bool:
    try:
        return read_record(folder).finished
    except DamagedRun:
        return False
