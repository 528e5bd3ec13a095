"""Where the runs of a study are, by their records, the queue and the processes that own them; and how to stop them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.study import Study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.executors import make_executor
from hf_peft_compare.orchestration.executors.executor import Launch, State
from hf_peft_compare.orchestration.progress_display import read_progress
from hf_peft_compare.orchestration.supervision import TICKET_FILE, Ticket, read_ticket
from hf_peft_compare.records.remote_runs import fetch_results
from hf_peft_compare.records.run_folder import (
    LOG_FILE,
    OWNER_FILE,
    PROGRESS_FILE,
    RECORD_FILE,
    STUDY_FILE,
    TUNING_FOLDER,
    run_name,
)
from hf_peft_compare.utils.ownership import Owner, read_owner
from hf_peft_compare.utils.remote_folder import remote_of, shown
from hf_peft_compare.utils.remote_ownership import remote_owner

FINISHED, FAILED, RUNNING, WAITING, STOPPED, OPEN = "finished", "failed", "running", "waiting", "stopped", "not started"
STATES = (FINISHED, FAILED, RUNNING, WAITING, STOPPED, OPEN)
SECONDS_TO_END = 60.0  # of the process that follows a study


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """Where one run is.

    Args:
        state: one of `STATES`; "stopped": begun, without a record, and nowhere now; `run` goes on with it.
        detail: the error of a failed one, the progress of a running one, what a waiting one waits for.
    """

    run: str
    state: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """Where a study's runs are.

    Args:
        owner: the process that follows them; None: nobody, so that no further ones are submitted.
        num_trials: trials of its tuning that have ended.
    """

    study: str
    owner: Owner | None
    num_trials: int
    runs: list[RunStatus]

    def count(self, state: str) -> int:
        """Return the number of runs in a state."""
        return sum(run.state == state for run in self.runs)


def folder_with_study(study: str, output_dir: Path) -> Path:
    """Return the folder of a study that has begun, by its name, file or folder.

    Raises:
        UserError: there is none.
    """
    if study.endswith((".yaml", ".yml")):
        study = load_study(study).config.name
    for folder in (output_dir / study, Path(study)):
        fetch_results(folder)
        if (folder / STUDY_FILE).is_file():
            return folder
    raise UserError(f"no study in {shown(output_dir / study)} or {shown(Path(study))}; pass one that `run` has begun.")


def status_of(folder: Path) -> StudyStatus:
    """Return where the runs of the study in a folder are.

    Raises:
        UserError: its file cannot be read, or its executor is not installed here.
    """
    study = load_study(folder / STUDY_FILE)
    owner = here = read_owner(folder / OWNER_FILE)
    if owner is None and (remote := remote_of(folder)) is not None:
        owner = remote_owner(remote)
    names = _names(study)
    tickets = {name: ticket for name in names if (ticket := read_ticket(folder / name)) is not None}
    states = _poll(tickets)
    return StudyStatus(
        study=study.config.name,
        owner=owner,
        num_trials=sum(1 for _ in (folder / TUNING_FOLDER).glob(f"*/{RECORD_FILE}")),
        runs=[_status(name, folder / name, states.get(name), followed=here is not None) for name in names],
    )


def cancel(folder: Path) -> list[str]:
    """Stop the process that follows a study, and all of its runs that wait or run; return what was done.

    Raises:
        UserError: their executor is not installed here.
    """
    done = []
    owner = read_owner(folder / OWNER_FILE)
    if owner is not None and owner.is_here:
        os.kill(owner.pid, signal.SIGTERM)
        _wait_for(owner)
        done.append(f"stopped {owner}, which followed the study")
    elif owner is not None:
        done.append(f"{owner} follows the study and goes on submitting; stop it there")
    runs = [*folder.glob(f"*/{TICKET_FILE}"), *folder.glob(f"{TUNING_FOLDER}/*/{TICKET_FILE}")]
    tickets = {str(path): ticket for path in runs if (ticket := read_ticket(path.parent)) is not None}
    for executor, handles in _by_executor(tickets).items():
        make_executor(executor, {}, Launch()).cancel(list(handles.values()))
        done.append(f"canceled {len(handles)} {'run' if len(handles) == 1 else 'runs'} with {executor}")
    for path in runs:
        path.unlink(missing_ok=True)
    return done or ["nothing was running or waiting"]


def _names(study: Study) -> list[str]:
    return [run_name(row=row, seed=seed) for seed in study.config.seeds for row in study.config.methods]


def _by_executor(tickets: Mapping[str, Ticket]) -> dict[str, dict[str, str]]:
    """Return {executor: {name: handle}}."""
    found: dict[str, dict[str, str]] = {}
    for name, ticket in tickets.items():
        found.setdefault(ticket.executor, {})[name] = ticket.handle
    return found


def _poll(tickets: Mapping[str, Ticket]) -> dict[str, State]:
    states: dict[str, State] = {}
    for executor, handles in _by_executor(tickets).items():
        polled = make_executor(executor, {}, Launch()).poll(list(handles.values()))
        states |= {name: polled[handle] for name, handle in handles.items()}
    return states


def _status(name: str, folder: Path, queued: State | None, *, followed: bool) -> RunStatus:
    if (record := _read(folder / RECORD_FILE)) is not None:
        error = record.get("error")
        return RunStatus(run=name, state=FINISHED if error is None else FAILED, detail=str(error or ""))
    if queued is not None and queued.phase == "waiting":
        return RunStatus(run=name, state=WAITING, detail=queued.reason)
    runs = queued is not None and queued.phase == "running"
    progress = read_progress(folder) or {"phase": "starting", "step": 0, "num_steps": 0}
    if runs or read_owner(folder / OWNER_FILE) or (followed and queued is None and progress["phase"] not in _IDLE):
        steps = f", step {progress['step']} of {progress['num_steps']}" if progress["num_steps"] else ""
        return RunStatus(run=name, state=RUNNING, detail=progress["phase"] + steps)
    begun = any((folder / name).exists() for name in (LOG_FILE, PROGRESS_FILE))  # not if it was refused by a queue
    return RunStatus(run=name, state=STOPPED if begun else OPEN, detail=queued.reason if queued else "")


_IDLE = ("starting", "done")  # phases in which no process is seen at work


def _read(file: Path) -> Mapping[str, object] | None:
    """Return the top of a record without checking all of it, for thousands of runs in seconds; None: there is none."""
    try:
        found: Mapping[str, object] = json.loads(file.read_bytes())
        return found
    except OSError:
        return None
    except ValueError:
        return {"error": f"{file} cannot be read"}


def _wait_for(owner: Owner) -> None:
    end = time.monotonic() + SECONDS_TO_END
    while owner.lives and time.monotonic() < end:
        time.sleep(0.1)
