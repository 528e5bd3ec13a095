"""One run in this process: a child of the study's, one that a cluster started, or the command `train`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from hf_peft_compare.core.errors import BAD_INPUT, FAILED, OK, REQUEUE, RunFailed, UserError
from hf_peft_compare.core.tracking import check_energy, check_trackers
from hf_peft_compare.orchestration.children import sigterm_as_ctrl_c
from hf_peft_compare.orchestration.job_files import read_job
from hf_peft_compare.orchestration.jobs import Job, OnEvent, planned, unfinished
from hf_peft_compare.orchestration.slots import Slot
from hf_peft_compare.orchestration.study_folder import check_folder, owned_by_this_process
from hf_peft_compare.records.record import record_of, write_record
from hf_peft_compare.records.run_folder import LOG_FILE, OWNER_FILE
from hf_peft_compare.utils.files import open_to_append
from hf_peft_compare.utils.ownership import owned
from hf_peft_compare.utils.quiet import without_bars_in_a_log


def note_failure(job: Job, error: str) -> None:
    """Write the record of a run whose process ended without one, such as one killed for its memory use."""
    write_record(record_of(job.config, job.origins, error=error, plan=job.plan), job.folder)


def train_job(path: Path, *, watch_stdin: bool = False) -> int:
    """Run the job in a file, on whichever machine, writing to the run's log; return the exit status.

    SIGTERM and SIGUSR1 stop it at a checkpoint, from which the same job goes on.

    Args:
        watch_stdin: exit when standard input ends, as it does with the process at its other end.

    Raises:
        UserError: the file does not hold a job.
    """
    from hf_peft_compare.training.preemption import Preempted, preemptible

    job = read_job(path)
    if watch_stdin:
        threading.Thread(target=_exit_at_end_of, args=(sys.stdin,), daemon=True).start()
    _write_to_log(job)
    first = int(os.environ.get("RANK", 0)) == 0
    try:
        with preemptible(), owned(job.folder / OWNER_FILE, wait=True) if first else contextlib.nullcontext():
            return OK if job.state == "finished" else _train_recorded(job)
    except Preempted:
        print("stopped for the scheduler; the same job goes on from the last checkpoint", flush=True)
        return REQUEUE


def _train_recorded(job: Job) -> int:
    """Run a job in this process, and write a record of invalid input too."""
    try:
        return train_here(job)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        note_failure(job, str(error))
        return BAD_INPUT


def train_here(job: Job) -> int:
    """Run a job in this process; print its error and return the exit status."""
    from hf_peft_compare.training.run import train_run

    without_bars_in_a_log()
    try:
        train_run(job.config, job.origins, folder=job.folder, plan=job.plan, tuning=job.tuning)
        return OK
    except RunFailed as error:
        traceback.print_exc()
        print(error, file=sys.stderr, flush=True)
        return FAILED


def train_one(job: Job, *, on_event: OnEvent = lambda job, message: None) -> int:
    """Run a job in this process, checked and its folder owned, like a study; return the exit status."""
    from hf_peft_compare.orchestration import preflight
    from hf_peft_compare.utils.distributed import process_state

    state = process_state()
    if not unfinished([job]):
        on_event(job, "skipped")
        return OK
    check_trackers(job.config.tracking.report_to)
    check_energy(job.config.tracking.energy)
    study_folder = job.folder.parent
    plans = preflight.check([job.config], num_processes=state.num_processes, study_folder=study_folder)
    job = planned(job, plans)
    if not state.is_main_process:
        state.wait_for_everyone()
        return OK if job.state == "finished" else train_here(job)
    check_folder(job.folder.parent, [job.folder])
    with owned_by_this_process(job.folder.parent), sigterm_as_ctrl_c():
        if job.state == "finished":  # by another process, before this one held the folder
            state.wait_for_everyone()
            on_event(job, "skipped")
            return OK
        if moved := job.prepare():
            on_event(job, moved)
        state.wait_for_everyone()
        on_event(job, "started")
        status = train_here(job)
        on_event(job, "finished" if status == OK else "failed")
        return status


def train_in_child(job: Job, slot: Slot) -> None:
    """Run one job as a child process: write output to the run's log, and exit with its status."""
    _write_to_log(job)
    slot.take()
    sys.exit(_train_recorded(job))


def _write_to_log(job: Job) -> None:
    log = open_to_append(job.folder / LOG_FILE)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _exit_at_end_of(stream: Any) -> None:
    stream.read()
    os._exit(1)
