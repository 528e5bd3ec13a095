"""A command of the user's, such as `srun`, `ssh` or a cloud's launcher, which returns when the run has ended."""

from __future__ import annotations

import os
import shlex
import string
import subprocess
from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.orchestration.executors.executor import Executor, Launch, State, describe_status, environment
from hf_peft_compare.orchestration.job_files import JOB_FILE, write_job
from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.records.run_folder import LOG_FILE
from hf_peft_compare.utils.files import open_to_append

PLACES = ("command", "job_file", "name", "folder")


def _checked(template: str) -> str:
    places = {place for _, place, _, _ in string.Formatter().parse(template) if place is not None}
    if places - set(PLACES) or not places & {"command", "job_file"}:
        raise ValueError(
            "expected a shell command with {command} or {job_file}; it can have {name}, {folder}, and {{ for a brace"
        )
    return template


Template = Annotated[str, AfterValidator(_checked)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CommandOptions:
    """The template of the command.

    Args:
        command: a shell command, in which {command} is replaced by what does the run, {job_file} by the file that
            describes it, {name} by study and run, {folder} by the run's folder.
    """

    command: Template = "{command}"


class CommandExecutor(Executor):
    """Run one command for each job, on machines that see the study's folder and this installation."""

    name = "command"
    options = CommandOptions

    def __init__(self, options: CommandOptions, launch: Launch) -> None:
        self.capacity = launch.max_parallel or 1
        self._template, self._launch = options.command, launch
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Start the command of each job; what it prints is in the run's log."""
        handles = []
        for job in jobs:
            write_job(job)
            with open(open_to_append(job.folder / LOG_FILE), "a") as log:
                process = subprocess.Popen(
                    self._fill(job),
                    shell=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment(),
                    start_new_session=True,
                )
            handles.append(str(process.pid))
            self._running[handles[-1]] = process
        return handles

    def poll(self, handles: Collection[str]) -> dict[str, State]:
        """Return which commands have ended."""
        states = {}
        for handle in handles:
            status = self._running[handle].poll()
            states[handle] = State("running") if status is None else State("gone", describe_status(status))
        return states

    def cancel(self, handles: Collection[str]) -> None:
        """Terminate the commands with all that they have started here."""
        for handle in handles:
            process = self._running[handle]
            if process.poll() is None:
                os.killpg(process.pid, 15)
        for handle in handles:
            self._running[handle].wait()

    def preview(self, jobs: Sequence[Job]) -> str:
        """Return the command of each job."""
        return "\n".join(map(self._fill, jobs))

    def _fill(self, job: Job) -> str:
        file = job.folder.resolve() / JOB_FILE
        return self._template.format(
            command=shlex.join(self._launch.command_of(file)),
            job_file=shlex.quote(str(file)),
            name=shlex.quote(f"{job.config.study}-{job.config.run}"),
            folder=shlex.quote(str(job.folder.resolve())),
        )
