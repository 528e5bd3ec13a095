"""Slurm: jobs as arrays of `sbatch`, asked for with `squeue`; no accounting database and no package is needed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.orchestration.executors.executor import Executor, Launch, State, environment
from hf_peft_compare.orchestration.job_files import JOB_FILE, write_job
from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.utils.files import write_text_atomically

SECONDS_OF_OUTAGE, SECONDS_BETWEEN_CALLS = 1800.0, 10.0
SIGNS_OF_OUTAGE = ("unable to contact", "timed out", "connection refused", "communication")
SECONDS_TO_STOP = 90  # before the time limit; what a step and a checkpoint may take
WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
RUNNING = {"RUNNING", "COMPLETING", "STOPPED", "SUSPENDED", "SIGNALING", "STAGE_OUT", "RESIZING", "PREEMPTED"}
NAMES_OF_FILES = "queue"  # the folder in the study's for scripts and Slurm's own output
# `%i` of a task that waits alone is "12_3", of several "12_[3-5]"; --array gives each a line.
ASK = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N"]

Word = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]

SCRIPT = """\
#!/bin/bash
{options}
export OMP_NUM_THREADS="${{OMP_NUM_THREADS:-${{SLURM_CPUS_PER_TASK:-1}}}}"
{setup}
jobs=(
{jobs}
)
{command} "${{jobs[$SLURM_ARRAY_TASK_ID]}}" &
run=$!
# Before its time limit the run is stopped, which saves a checkpoint, and put into the queue again.
trap 'again=1; kill -TERM "$run"' USR1
trap 'kill -TERM "$run"' TERM
wait "$run"
while kill -0 "$run" 2>/dev/null; do wait "$run"; done  # a signal ends a wait before its time
wait "$run"
status=$?
if [ -n "$again" ] && [ "$status" -ne 0 ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$status"
"""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SlurmOptions:
    """Options of `sbatch`, for each run.

    Args:
        partition, account, qos, reservation: whose time and which part of the cluster a run takes.
        time: its limit, such as 4:00:00, before whose end it saves a checkpoint.
        mem, cpus_per_task, gpus, gres: main memory, CPU cores and GPUs of a run, such as 32G, 4, 1 and gpu:a100:1.
        constraint, nodelist, exclude: features of nodes, nodes to take, and nodes not to take.
        setup: shell commands before the run, such as "module load cuda".
    """

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    time: Word | None = None
    mem: Word | None = None
    cpus_per_task: PositiveInt | None = None
    gpus: Word | None = None
    gres: Word | None = None
    constraint: Word | None = None
    nodelist: Word | None = None
    exclude: Word | None = None
    reservation: Word | None = None
    setup: str = ""


class SlurmExecutor(Executor):
    """Submit jobs as arrays of a Slurm cluster, whose nodes see the study's folder and this installation."""

    name = "slurm"
    options = SlurmOptions
    outlives = True
    seconds_between_polls = 5.0
    seconds_to_appear = 30.0

    def __init__(self, options: SlurmOptions, launch: Launch) -> None:
        self._options, self._launch = options, launch

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit an array with a task for each job."""
        folder = jobs[0].study_folder.resolve() / NAMES_OF_FILES
        folder.mkdir(exist_ok=True)
        for job in jobs:
            write_job(job)
        script = folder / "script.sh"
        write_text_atomically(script, self.preview(jobs))
        array = _call("sbatch", "--parsable", str(script)).strip().split(";")[0]
        script.rename(folder / f"{array}.sh")
        return [f"{array}_{i}" for i in range(len(jobs))]

    def poll(self, handles: Collection[str]) -> Mapping[str, State]:
        """Return the states that the queue tells; it forgets a job some minutes after its end."""
        arrays = sorted({handle.partition("_")[0] for handle in handles})
        try:
            lines = _ask(*ASK, f"--jobs={','.join(arrays)}").splitlines()
        except UserError as error:
            if "Invalid job id" not in str(error):
                raise
            lines = []
        found = {}
        for line in lines:
            handle, state, reason, node = line.split("|")
            found[handle] = _state(state, reason, node)
        return {handle: found.get(handle, State("gone", "no longer in the queue")) for handle in handles}

    def cancel(self, handles: Collection[str]) -> None:
        """Cancel the tasks; those that have ended are not missed."""
        for some in _chunks(sorted(handles), size=500):
            _call("scancel", "--quiet", *some)

    def preview(self, jobs: Sequence[Job]) -> str:
        """Return the batch script of the array."""
        given = {f.name: getattr(self._options, f.name) for f in fields(self._options) if f.name != "setup"}
        limit = f"%{self._launch.max_parallel}" if self._launch.max_parallel else ""
        folder = jobs[0].study_folder.resolve() / NAMES_OF_FILES
        options = {
            "job-name": jobs[0].config.study,
            "array": f"0-{len(jobs) - 1}{limit}",
            "output": f"{folder}/%A_%a.txt",
            "open-mode": "append",
            "signal": f"B:USR1@{SECONDS_TO_STOP}",
            **{name.replace("_", "-"): value for name, value in given.items() if value is not None},
        }
        lines = [f"#SBATCH --{name}={shlex.quote(str(value))}" for name, value in options.items()]
        *command, _ = self._launch.command_of(Path())  # without the job's file, which the script takes from its list
        return SCRIPT.format(
            options="\n".join([*lines, "#SBATCH --requeue"]),
            setup=self._options.setup,
            jobs="\n".join(shlex.quote(str(job.folder.resolve() / JOB_FILE)) for job in jobs),
            command=shlex.join(command),
        )


def _state(state: str, reason: str, node: str) -> State:
    if state in WAITING:
        return State("waiting", "" if reason == "None" else reason)
    if state in RUNNING:
        return State("running", node)
    return State("gone", f"ended by Slurm as {state}" + (f" on {node}" if node else ""))


def _chunks(items: Sequence[str], *, size: int) -> list[Sequence[str]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _ask(*command: str) -> str:
    """Call one of Slurm's commands, again while its controller does not answer, as when it is started anew."""
    end = time.monotonic() + SECONDS_OF_OUTAGE
    while True:
        try:
            return _call(*command)
        except UserError as error:
            if time.monotonic() > end or not any(sign in str(error).lower() for sign in SIGNS_OF_OUTAGE):
                raise
            time.sleep(SECONDS_BETWEEN_CALLS)


def _call(*command: str) -> str:
    """Return the output of one of Slurm's commands.

    Raises:
        UserError: it is not installed, or what it printed when it failed.
    """
    if shutil.which(command[0]) is None:
        raise UserError(
            f"--executor slurm needs {command[0]}, which is not here; run this on a node of the cluster from which "
            f"jobs are submitted. --executor local does all runs on this machine."
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        what = done.stderr.strip().replace("\n", "; ")
        raise UserError(f"{command[0]} ended with status {done.returncode}: {what}")
    return done.stdout
