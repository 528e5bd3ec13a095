"""One run in its own process, which ends when its parent ends."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from hf_peft_compare.core.errors import BAD_INPUT, FAILED, OK, RunFailed, UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.orchestration.children import sigterm_as_ctrl_c
from hf_peft_compare.orchestration.jobs import Job, OnEvent, planned, unfinished
from hf_peft_compare.orchestration.slots import Slot
from hf_peft_compare.orchestration.study_folder import check_folder, owned_by_this_process
from hf_peft_compare.records.record import RunRecord, record_of, write_record
from hf_peft_compare.records.run_folder import LOG_FILE, RECORD_FILE
from hf_peft_compare.utils.files import open_to_append


def note_death(job: Job, status: int) -> None:
    """Write the record of a process that ended without one, such as one killed by the system for its memory use."""
    if not (job.folder / RECORD_FILE).exists():
        reason = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        error = f"the run's process was {reason}; see {job.folder / LOG_FILE}"
        write_record(_failed(job, error), job.folder)


def _failed(job: Job, error: str) -> RunRecord:
    return record_of(job.config, job.origins, error=error, plan=job.plan)


def train_job(path: Path) -> int:
    """Run a job that another process wrote to a file; exit when that process ends.

    Raises:
        UserError: the file does not hold a job.
    """
    try:
        job = parse(Job, json.loads(path.read_text(encoding="utf-8")), where=f"job {path}", if_missing="")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"job {path} cannot be read ({error}); `run` writes such files.") from None
    threading.Thread(target=_exit_at_end_of, args=(sys.stdin,), daemon=True).start()
    return train_here(job)


def train_here(job: Job) -> int:
    """Run a job in this process; print its error and return the exit status."""
    from hf_peft_compare.training.run import train_run

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
    log = open_to_append(job.folder / LOG_FILE)
    os.dup2(log, 1)
    os.dup2(log, 2)
    slot.take()
    try:
        status = train_here(job)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        write_record(_failed(job, str(error)), job.folder)
        status = BAD_INPUT
    sys.exit(status)


def _exit_at_end_of(stream: Any) -> None:
    stream.read()
    os._exit(1)
