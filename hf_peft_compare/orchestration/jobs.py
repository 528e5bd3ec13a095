"""All runs of a study: one process each, finished ones skipped, failures survived, interrupted ones resumed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import queue
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from hf_peft_compare.config import RunConfig, Study, parse
from hf_peft_compare.errors import BAD_INPUT, FAILED, INTERRUPTED, OK, RunFailed, UserError
from hf_peft_compare.planning import RunPlan
from hf_peft_compare.records import (
    CONFIG_HASH_FILE,
    LOG_FILE,
    RECORD_FILE,
    RunRecord,
    folder_of_study,
    identity,
    read_record,
    write_record,
    write_text_atomically,
)

SUPERSEDED = "superseded"
# What a child process would spend seconds to import, loaded once in the process that children are forked from.
PRELOADED = [
    "hf_peft_compare.preflight",
    "hf_peft_compare.training",
    "peft",
    "datasets",
    "evaluate",
    "rouge_score.rouge_scorer",
]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to do: its config, where its values come from, its folder, its estimate, and how it was tuned."""

    config: RunConfig
    origins: Mapping[str, str]
    folder: Path
    plan: Mapping[str, Any] | None = None
    tuning: Mapping[str, Any] | None = None

    @property
    def study_folder(self) -> Path:
        """The folder of the job's study."""
        return folder_of_study(self.folder, trial=self.config.trial)

    @property
    def state(self) -> str:
        """Say whether the run is "finished" with this very config, begun with an "other config", or "open"."""
        if (self.folder / RECORD_FILE).exists():
            record = read_record(self.folder)
            if record.config_hash != self.config.hash:
                return "other config"
            return "finished" if record.finished else "open"
        begun = self.folder / CONFIG_HASH_FILE
        return "other config" if begun.exists() and begun.read_text() != self.config.hash else "open"

    def prepare(self) -> None:
        """Make the run's folder; what stands there of another config is moved away, never lost."""
        if self.state == "other config":
            supersede(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RECORD_FILE).unlink(missing_ok=True)  # of a failure, which is now tried again
        write_text_atomically(self.folder / CONFIG_HASH_FILE, self.config.hash)


Say = Callable[[Job, str], None]


def jobs_of(study: Study, *, output_dir: Path, rows: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Job]:
    """Give the runs of a study, all or those of some rows and seeds.

    Raises:
        UserError: an unknown row, or a setting that does not resolve.
    """
    rows, seeds = rows or list(study.config.methods), seeds or study.config.seeds
    folder = output_dir / study.config.name
    resolved = [study.resolve(row=row, seed=seed) for seed in seeds for row in rows]
    return [Job(config=config, origins=origins, folder=folder / config.run) for config, origins in resolved]


def run_jobs(
    jobs: Sequence[Job],
    *,
    num_processes: int | None = None,
    one_run_per_gpu: bool = False,
    accelerate_config: Path | None = None,
    check: bool = True,
    say: Say = lambda job, message: None,
) -> dict[str, str]:
    """Do every run that is not finished yet.

    Args:
        check: look for bad input first, and plan; not needed for trials of rows that were checked before.
        num_processes: processes per run; None: one per GPU, or one.
        one_run_per_gpu: as many runs side by side as there are GPUs, one process each.
        accelerate_config: the file by which `accelerate launch` starts several processes; None: each has the model.
        say: called with a job and "started", "skipped", "finished" or "failed".

    Returns:
        The outcome of each run by its name: "skipped", "finished" or "failed".

    Raises:
        UserError: bad input of any run; nothing was written.
    """
    waiting = [job for job in jobs if job.state != "finished"]
    outcomes = {job.config.run: "skipped" for job in jobs}
    for job in jobs:
        if job not in waiting:
            say(job, "skipped")
    if not waiting:
        return outcomes
    context = _context()
    if one_run_per_gpu:
        num_processes = 1
    study_folder = waiting[0].study_folder
    configs = [job.config for job in waiting]
    num_gpus, processes, plans = _in_child(context, _preflight, configs, num_processes, study_folder, check)
    if accelerate_config is not None and processes < 2:
        raise UserError(
            f"{accelerate_config.name} is for several processes, and a run has one here: there are {num_gpus} GPU(s). "
            f"Give --num-processes 2 or more, without --one-run-per-gpu."
        )
    waiting = [_planned(job, plans) for job in waiting]
    _check_writable(study_folder)
    slots = [str(i) for i in range(num_gpus)] if one_run_per_gpu and num_gpus > 1 else [None]
    with _locked(study_folder):
        how = {"num_processes": processes, "accelerate_config": accelerate_config}
        outcomes |= _do_all(waiting, context, slots=slots, **how, say=say)
    return outcomes


def _do_all(
    jobs: Sequence[Job],
    context: Any,
    *,
    slots: Sequence[str | None],
    num_processes: int,
    accelerate_config: Path | None = None,
    say: Say,
) -> dict[str, str]:
    """Do jobs on as many slots (GPU numbers, or None for whatever there is) as are given."""
    free: queue.Queue[str | None] = queue.Queue()
    for slot in slots:
        free.put(slot)
    children = Children(accelerate_config)

    def do(job: Job) -> str:
        slot = free.get()
        try:
            say(job, "started")
            status = children.run(job, context, gpu=slot, num_processes=num_processes)
            if status == INTERRUPTED or children.stopped:
                raise KeyboardInterrupt
            if status != OK:
                _note_death(job, status)
            outcome = "finished" if status == OK else "failed"
            say(job, outcome)
            return outcome
        finally:
            free.put(slot)

    with ThreadPoolExecutor(max_workers=len(slots)) as pool:
        futures = {job.config.run: pool.submit(do, job) for job in jobs}
        try:
            return {run: future.result() for run, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop()
            raise


class Children:
    """The processes that run jobs now, so that all of them can be stopped.

    Args:
        accelerate_config: the file by which `accelerate launch` starts several; None: each has the whole model.
    """

    def __init__(self, accelerate_config: Path | None = None) -> None:
        self._how = ["--multi_gpu"] if accelerate_config is None else ["--config_file", str(accelerate_config)]
        self.stopped = False
        self._stops: list[Callable[[], None]] = []

    def run(self, job: Job, context: Any, *, gpu: str | None, num_processes: int) -> int:
        """Do one run in a process of its own, or several under `accelerate launch`; give the exit status."""
        job.prepare()
        if num_processes > 1:
            return self._launch(job, num_processes)
        process = context.Process(target=_train_in_child, args=(job, gpu))
        process.start()
        self._stops.append(process.terminate)
        process.join()
        return process.exitcode

    def _launch(self, job: Job, num_processes: int) -> int:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file, (job.folder / LOG_FILE).open("a") as log:
            json.dump({**asdict(job), "folder": str(job.folder)}, file)
            file.flush()
            command = [sys.executable, "-m", "accelerate.commands.launch", *self._how]
            command += ["--num_processes", str(num_processes), "--main_process_port", "0"]  # whichever is free
            command += ["-m", "hf_peft_compare", "train-job", file.name]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            self._stops.append(process.terminate)
            return process.wait()

    def stop(self) -> None:
        """End every process."""
        self.stopped = True
        for stop in self._stops:
            with contextlib.suppress(Exception):
                stop()


def _note_death(job: Job, status: int) -> None:
    """Leave a record of a process that ended without one, as one does that the system kills for its memory."""
    if not (job.folder / RECORD_FILE).exists():
        reason = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        error = f"the run's process was {reason}; see {job.folder / LOG_FILE}"
        write_record(_failed(job, error), job.folder)


def _failed(job: Job, error: str) -> RunRecord:
    plan = None if job.plan is None else dict(job.plan)
    return RunRecord(status="failed", error=error, plan=plan, **identity(job.config, job.origins))


def _planned(job: Job, plans: Mapping[str, RunPlan]) -> Job:
    """Give a job the plan of its row; one without a model has none."""
    plan = plans.get(job.config.row)
    return job if plan is None else replace(job, plan=asdict(replace(plan, seed=job.config.seed)))


def train_job(path: Path) -> int:
    """Do a run that another process described in a file; end when that process ends."""
    job = json.loads(path.read_text())
    threading.Thread(target=_exit_at_end_of, args=(sys.stdin,), daemon=True).start()
    config = parse(RunConfig, job["config"], where="job")
    return train_here(Job(**{**job, "config": config, "folder": Path(job["folder"])}))


def train_here(job: Job) -> int:
    """Do a run in this process; give the exit status, the error printed."""
    from hf_peft_compare.training import train_run

    try:
        train_run(job.config, job.origins, folder=job.folder, plan=job.plan, tuning=job.tuning)
        return OK
    except RunFailed as error:
        traceback.print_exc()
        print(error, file=sys.stderr, flush=True)
        return FAILED


def train_one(job: Job, *, say: Say = lambda job, message: None) -> int:
    """Do a run in this process, checked and locked as a study is; give the exit status."""
    from hf_peft_compare import preflight
    from hf_peft_compare.processes import process_state

    state = process_state()
    if job.state == "finished":
        say(job, "skipped")
        return OK
    study_folder = job.folder.parent
    plans = preflight.check([job.config], num_processes=state.num_processes, study_folder=study_folder)
    job = _planned(job, plans)
    if not state.is_main_process:
        state.wait_for_everyone()
        return train_here(job)
    _check_writable(job.folder.parent)
    with _locked(job.folder.parent):
        job.prepare()
        state.wait_for_everyone()
        say(job, "started")
        status = train_here(job)
        say(job, "finished" if status == OK else "failed")
        return status


def _train_in_child(job: Job, gpu: str | None) -> None:
    """The life of a child process: output to the run's log, an end when the parent ends, one run."""
    log = os.open(job.folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        status = train_here(job)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        write_record(_failed(job, str(error)), job.folder)
        status = BAD_INPUT
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)


def _exit_with(sentinel: Any) -> None:
    """End this process as soon as its parent has ended, however that ended: an orphan would train on unseen."""
    wait([sentinel])
    os._exit(1)


def _exit_at_end_of(stream: Any) -> None:
    stream.read()
    os._exit(1)


def _context() -> Any:
    """The way children start: forked from a process that has the heavy imports loaded but has done nothing yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _preflight(
    configs: Sequence[RunConfig], num_processes: int | None, study_folder: Path, check: bool
) -> tuple[int, int, dict[str, RunPlan]]:
    """Check the runs; give the number of GPUs, of processes per run, and the plan of each row."""
    import torch
    from transformers.utils import logging

    from hf_peft_compare import preflight

    warnings.simplefilter("ignore")  # what libraries warn of is in the logs of the runs
    logging.set_verbosity_error()
    num_gpus = torch.cuda.device_count()
    if num_gpus and (num_processes or 0) > num_gpus:
        raise UserError(
            f"{num_processes} processes were asked for, but there are {num_gpus} GPU(s); ask for at most {num_gpus}."
        )
    if num_processes is None:
        num_processes = most_processes(configs, num_gpus)
    plans = preflight.check(configs, num_processes=num_processes, study_folder=study_folder) if check else {}
    return num_gpus, num_processes, plans


def most_processes(configs: Sequence[RunConfig], num_gpus: int) -> int:
    """Give the most processes, at most one per GPU, into which the effective batch of every run divides."""
    batches = [c.training.train_batch_size / c.training.gradient_accumulation_steps for c in configs]
    return next((n for n in range(num_gpus, 1, -1) if all(batch % n == 0 for batch in batches)), 1)


def _in_child(context: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a child process; its result or error is passed on."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        raise RunFailed(f"the check of the study ended with status {process.exitcode}.") from None
    process.join()
    if error is not None:
        raise error
    return result


def _answer(sender: Any, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    try:
        sender.send((function(*arguments), None))
    except UserError as error:
        sender.send((None, error))
    except Exception as error:
        traceback.print_exc()
        sender.send((None, RunFailed(f"{type(error).__name__}: {error}")))


def supersede(folder: Path) -> Path:
    """Move a run of another config out of the way; it is kept."""
    for number in range(1, sys.maxsize):
        target = folder.parent / SUPERSEDED / f"{folder.name}-{number}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            return folder.rename(target)
    raise AssertionError


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}. Choose another --output-dir.") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a study's folder; a second process that wants it gets a UserError. The lock goes with the process."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"another process is running this study in {folder}; wait for it, or choose --output-dir."
            ) from None
        yield
