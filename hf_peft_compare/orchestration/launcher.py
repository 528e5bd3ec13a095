"""Run jobs on this machine, each in its own process: finished jobs are skipped, a failed job does not stop others."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import INTERRUPTED, OK, UserError
from hf_peft_compare.orchestration.children import TERMINATED, call_in_child, start_child
from hf_peft_compare.orchestration.jobs import Job, OnEvent, planned, unfinished
from hf_peft_compare.orchestration.rate_search import Sizes
from hf_peft_compare.orchestration.slots import MaxParallel, Slot, check_parallel, slots_of
from hf_peft_compare.orchestration.study_folder import check_folder, owned_by_this_process
from hf_peft_compare.orchestration.worker import note_death, train_in_child
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.run_folder import LOG_FILE
from hf_peft_compare.utils.files import open_to_append
from hf_peft_compare.utils.quiet import quiet


def run_jobs(
    jobs: Sequence[Job],
    *,
    num_processes: int | None = None,
    max_parallel: MaxParallel = 1,
    accelerate_config: Path | None = None,
    check: bool = True,
    check_too: Sequence[RunConfig] = (),
    on_event: OnEvent = lambda job, message: None,
) -> dict[str, str]:
    """Run all jobs that are not finished yet.

    Args:
        check: validate the input and plan first; not needed for tuning trials of rows that were already checked.
        check_too: runs to check with them; of rows among the jobs, the jobs are checked.
        num_processes: processes per run; None: one per GPU, or one.
        max_parallel: run at most so many jobs at the same time, one process each, see `slots_of`.
        accelerate_config: config file for `accelerate launch` with several processes; None: each holds the whole model.
        on_event: called with a job and "planned", "started", "skipped", "finished" or "failed", or why its old run
            was moved.

    Returns:
        The outcome of each run by its name: "skipped", "finished" or "failed".

    Raises:
        UserError: invalid input of any run; nothing was written.
    """
    waiting = unfinished(jobs)
    outcomes = {job.config.run: "skipped" for job in jobs}
    for job in jobs:
        if job not in waiting:
            on_event(job, "skipped")
    if not waiting:
        return outcomes
    check_parallel(max_parallel, num_processes)
    if max_parallel != 1:
        num_processes = 1
    study_folder = waiting[0].study_folder
    configs = [*check_too, *(job.config for job in waiting)]
    shares = None if accelerate_config is None else accelerate_config.name
    num_gpus, processes, plans = call_in_child(
        _check_in_child, configs, num_processes, study_folder if check else None, shares
    )
    waiting = [planned(job, plans) for job in waiting]
    check_folder(study_folder, [job.folder for job in waiting])
    slots = slots_of(max_parallel, num_gpus=num_gpus, num_jobs=len(waiting), plans=plans.values())
    with owned_by_this_process(study_folder):
        for job in waiting:
            on_event(job, "planned")
        how = {"num_processes": processes, "accelerate_config": accelerate_config}
        outcomes |= _do_all(waiting, slots=slots, **how, on_event=on_event)
    return outcomes


def _do_all(
    jobs: Sequence[Job],
    *,
    slots: Sequence[Slot],
    num_processes: int,
    accelerate_config: Path | None = None,
    on_event: OnEvent,
) -> dict[str, str]:
    """Run jobs in parallel, one per slot."""
    free: queue.Queue[Slot] = queue.Queue()
    for slot in slots:
        free.put(slot)
    children = Children(accelerate_config)

    def do(job: Job) -> str:
        slot = free.get()
        try:
            outcome = attempt(job, slot)
            on_event(job, outcome)
            return outcome
        except OSError as error:  # only this run's: the others go on
            on_event(job, "failed")
            on_event(job, f"could not be prepared or recorded: {error}")
            return "failed"
        finally:
            free.put(slot)

    def attempt(job: Job, slot: Slot) -> str:
        if job.state == "finished":  # by another process, before this one held the study's folder
            return "skipped"
        if moved := job.prepare():
            on_event(job, moved)
        on_event(job, "started")
        status = children.run(job, slot=slot, num_processes=num_processes)
        if children.are_stopped(status):
            raise KeyboardInterrupt
        if status != OK:
            note_death(job, status)
        return "finished" if status == OK else "failed"

    with ThreadPoolExecutor(max_workers=len(slots)) as pool:
        futures = {job.config.run: pool.submit(do, job) for job in jobs}
        try:
            return {run: future.result() for run, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop()
            raise


class Children:
    """The child processes that are running jobs, so that all of them can be stopped.

    Args:
        accelerate_config: config file for `accelerate launch` with several; None: each holds the whole model.
    """

    def __init__(self, accelerate_config: Path | None = None) -> None:
        self._how = ["--multi_gpu"] if accelerate_config is None else ["--config_file", str(accelerate_config)]
        self._stopped = threading.Event()
        self._stops: list[Callable[[], None]] = []

    def run(self, job: Job, *, slot: Slot, num_processes: int) -> int:
        """Run one job in its own process, or several with `accelerate launch`; return the exit status."""
        if num_processes > 1:
            return self._launch(job, num_processes)
        process = start_child(train_in_child, job, slot)
        self._stops.append(process.terminate)
        process.join()
        return process.exitcode

    def _launch(self, job: Job, num_processes: int) -> int:
        log = open_to_append(job.folder / LOG_FILE)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file, os.fdopen(log, "a"):
            json.dump({**asdict(job), "folder": str(job.folder)}, file)
            file.flush()
            command = [sys.executable, "-m", "accelerate.commands.launch", *self._how]
            command += ["--num_processes", str(num_processes), "--main_process_port", "0"]  # any free port
            command += ["-m", "hf_peft_compare", "train-job", file.name]
            # The child must find the same plugins, such as a module next to the script.
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
            self._stops.append(process.terminate)
            return process.wait()

    def are_stopped(self, status: int) -> bool:
        """Return whether the exit status of one is due to an interrupt of all.

        A signal to the whole process group may end a child before this process has heard of it.
        """
        return status == INTERRUPTED or self._stopped.wait(1 if status == TERMINATED else 0)

    def stop(self) -> None:
        """Terminate every process."""
        self._stopped.set()
        for stop in self._stops:
            with contextlib.suppress(Exception):
                stop()


@quiet()  # what libraries say is in the logs of the runs
def _check_in_child(
    configs: Sequence[RunConfig], num_processes: int | None, study_folder: Path | None, shares: str | None
) -> tuple[int, int, dict[str, RunPlan]]:
    """Check the runs; return the number of GPUs, the number of processes per run, and the plan of each row.

    Args:
        study_folder: None: the runs were checked before.
        shares: the name of the config with which processes share a model, if any.
    """
    import torch

    from hf_peft_compare.orchestration import preflight

    num_gpus = torch.cuda.device_count()
    if num_gpus and (num_processes or 0) > num_gpus:
        raise UserError(
            f"--num-processes is {num_processes}, but there are {num_gpus} GPU(s); set it to at most {num_gpus}."
        )
    if num_processes is None:
        num_processes = most_processes(configs, num_gpus)
    if shares is not None and num_processes < 2:
        raise UserError(
            f"{shares} requires several processes, but a run has one here: found {num_gpus} GPU(s). "
            f"Set --num-processes to 2 or more, without --max-parallel."
        )
    plans = preflight.check(configs, num_processes=num_processes, study_folder=study_folder) if study_folder else {}
    return num_gpus, num_processes, plans


def count_examples(configs: Sequence[RunConfig]) -> dict[str, Sizes]:
    """Return the sizes of the train and validation splits of rows, counted in a child process.

    Raises:
        UserError: a split cannot be loaded.
    """
    return call_in_child(_count_in_child, configs)


@quiet()
def _count_in_child(configs: Sequence[RunConfig]) -> dict[str, Sizes]:
    from hf_peft_compare.data.splits import load_examples

    by_size = {config.num_train_samples: config for config in configs}  # rows share their data except for this
    splits = {size: load_examples(config) for size, config in by_size.items()}
    counts = {size: {name: len(split) for name, split in found.items()} for size, found in splits.items()}
    found = {config.row: counts[config.num_train_samples] for config in configs}
    return {row: Sizes(train=count["train"], validation=count["validation"]) for row, count in found.items()}


def most_processes(configs: Sequence[RunConfig], num_gpus: int) -> int:
    """Return the largest number of processes, at most one per GPU, that divides the effective batch of every run."""
    batches = [c.training.train_batch_size / c.training.gradient_accumulation_steps for c in configs]
    return next((n for n in range(num_gpus, 1, -1) if all(batch % n == 0 for batch in batches)), 1)
