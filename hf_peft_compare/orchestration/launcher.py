"""Run jobs on this machine, each in its own process: finished jobs are skipped, a failed job does not stop others."""

from __future__ import annotations

import contextlib
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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import ModuleType
from typing import Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import INTERRUPTED, OK, RunFailed, UserError
from hf_peft_compare.orchestration.jobs import Job, OnEvent, planned, unfinished
from hf_peft_compare.orchestration.rate_search import Sizes
from hf_peft_compare.orchestration.study_folder import check_folder, locked
from hf_peft_compare.orchestration.worker import exit_with_parent, note_death, train_in_child
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.run_folder import LOG_FILE
from hf_peft_compare.utils.files import open_to_append

# Slow imports of a child process, loaded once in the process from which children are forked.
PRELOADED = [
    "hf_peft_compare.orchestration.preflight",
    "hf_peft_compare.training.run",
    "peft",
    "datasets",
    "evaluate",
    "rouge_score.rouge_scorer",
]


def run_jobs(
    jobs: Sequence[Job],
    *,
    num_processes: int | None = None,
    one_run_per_gpu: bool = False,
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
        one_run_per_gpu: run as many jobs in parallel as there are GPUs, one process each.
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
    context = _context()
    if one_run_per_gpu:
        num_processes = 1
    study_folder = waiting[0].study_folder
    configs = [*check_too, *(job.config for job in waiting)]
    num_gpus, processes, plans = _in_child(context, _check_in_child, configs, num_processes, study_folder, check)
    if accelerate_config is not None and processes < 2:
        raise UserError(
            f"{accelerate_config.name} requires several processes, but a run has one here: found {num_gpus} GPU(s). "
            f"Set --num-processes to 2 or more, without --one-run-per-gpu."
        )
    waiting = [planned(job, plans) for job in waiting]
    check_folder(study_folder, [job.folder for job in waiting])
    slots = [str(i) for i in range(num_gpus)] if one_run_per_gpu and num_gpus > 1 else [None]
    with locked(study_folder):
        for job in waiting:
            on_event(job, "planned")
        how = {"num_processes": processes, "accelerate_config": accelerate_config}
        outcomes |= _do_all(waiting, context, slots=slots, **how, on_event=on_event)
    return outcomes


def _do_all(
    jobs: Sequence[Job],
    context: ForkServerContext,
    *,
    slots: Sequence[str | None],
    num_processes: int,
    accelerate_config: Path | None = None,
    on_event: OnEvent,
) -> dict[str, str]:
    """Run jobs in parallel, one per slot (a GPU number, or None for the default device)."""
    free: queue.Queue[str | None] = queue.Queue()
    for slot in slots:
        free.put(slot)
    children = Children(accelerate_config)

    def do(job: Job) -> str:
        slot = free.get()
        try:
            if moved := job.prepare():
                on_event(job, moved)
            on_event(job, "started")
            status = children.run(job, context, gpu=slot, num_processes=num_processes)
            if status == INTERRUPTED or children.stopped:
                raise KeyboardInterrupt
            if status != OK:
                note_death(job, status)
            outcome = "finished" if status == OK else "failed"
            on_event(job, outcome)
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
    """The child processes that are running jobs, so that all of them can be stopped.

    Args:
        accelerate_config: config file for `accelerate launch` with several; None: each holds the whole model.
    """

    def __init__(self, accelerate_config: Path | None = None) -> None:
        self._how = ["--multi_gpu"] if accelerate_config is None else ["--config_file", str(accelerate_config)]
        self.stopped = False
        self._stops: list[Callable[[], None]] = []

    def run(self, job: Job, context: ForkServerContext, *, gpu: str | None, num_processes: int) -> int:
        """Run one job in its own process, or several with `accelerate launch`; return the exit status."""
        if num_processes > 1:
            return self._launch(job, num_processes)
        process = start_child(context, train_in_child, job, gpu)
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

    def stop(self) -> None:
        """Terminate every process."""
        self.stopped = True
        for stop in self._stops:
            with contextlib.suppress(Exception):
                stop()


def _context() -> ForkServerContext:
    """Return the start method of children: fork from a server process that has only loaded the heavy imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


_STARTING = threading.Lock()


def start_child(context: ForkServerContext, function: Callable[..., None], *arguments: object) -> Any:
    """Start a process that has this one's environment, plugins included, and nothing of its main module.

    The server that children are forked from has the environment of its own start, which in a notebook is long past.
    Without a main module to import again, a script needs no `if __name__ == "__main__"`.
    """
    process = context.Process(target=_call, args=(dict(os.environ), function, arguments))
    with _STARTING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            process.start()
        finally:
            sys.modules["__main__"] = main
    return process


def _call(environment: Mapping[str, str], function: Callable[..., None], arguments: Sequence[object]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    exit_with_parent()
    function(*arguments)


def _check_in_child(
    configs: Sequence[RunConfig], num_processes: int | None, study_folder: Path, check: bool
) -> tuple[int, int, dict[str, RunPlan]]:
    """Check the runs; return the number of GPUs, the number of processes per run, and the plan of each row."""
    import torch
    from transformers.utils import logging

    from hf_peft_compare.orchestration import preflight

    warnings.simplefilter("ignore")  # library warnings are in the logs of the runs
    logging.set_verbosity_error()
    num_gpus = torch.cuda.device_count()
    if num_gpus and (num_processes or 0) > num_gpus:
        raise UserError(
            f"--num-processes is {num_processes}, but there are {num_gpus} GPU(s); set it to at most {num_gpus}."
        )
    if num_processes is None:
        num_processes = most_processes(configs, num_gpus)
    plans = preflight.check(configs, num_processes=num_processes, study_folder=study_folder) if check else {}
    return num_gpus, num_processes, plans


def count_examples(configs: Sequence[RunConfig]) -> dict[str, Sizes]:
    """Return the sizes of the train and validation splits of rows, counted in a child process.

    Raises:
        UserError: a split cannot be loaded.
    """
    return _in_child(_context(), _count_in_child, configs)


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


def _in_child(context: ForkServerContext, function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a child process and return its result or raise its error."""
    receiver, sender = context.Pipe(duplex=False)
    process = start_child(context, _answer, sender, function, arguments)
    sender.close()
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        raise RunFailed(f"the preflight check of the study exited with status {process.exitcode}.") from None
    process.join()
    if error is not None:
        raise error
    return result


def _answer(sender: Connection, function: Callable[..., Any], arguments: Sequence[object]) -> None:
    try:
        sender.send((function(*arguments), None))
    except UserError as error:
        sender.send((None, error))
    except Exception as error:
        traceback.print_exc()
        sender.send((None, RunFailed(f"{type(error).__name__}: {error}")))
