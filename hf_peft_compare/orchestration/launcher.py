"""Run jobs, here or elsewhere: finished ones are skipped, all others checked first, and a failed one stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.children import call_in_child
from hf_peft_compare.orchestration.executors import LOCAL, make_executor
from hf_peft_compare.orchestration.executors.executor import Executor
from hf_peft_compare.orchestration.executors.local import LocalExecutor
from hf_peft_compare.orchestration.jobs import Job, OnEvent, planned, unfinished
from hf_peft_compare.orchestration.place import HERE, Place
from hf_peft_compare.orchestration.rate_search import Sizes
from hf_peft_compare.orchestration.slots import slots_of
from hf_peft_compare.orchestration.study_folder import check_folder, owned_by_this_process
from hf_peft_compare.orchestration.supervision import supervise
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.utils.quiet import quiet


def run_jobs(
    jobs: Sequence[Job],
    *,
    place: Place = HERE,
    check: bool = True,
    check_too: Sequence[RunConfig] = (),
    on_event: OnEvent = lambda job, message: None,
) -> dict[str, str]:
    """Run all jobs that are not finished yet.

    Args:
        check: validate the input and plan first; not needed for tuning trials of rows that were already checked.
        check_too: runs to check with them; of rows among the jobs, the jobs are checked.
        on_event: called with a job and "planned", "started", "skipped", "finished" or "failed", or a sentence about it.

    Returns:
        The outcome of each run by its name: "skipped", "finished" or "failed".

    Raises:
        UserError: invalid input of any run; nothing was written.
    """
    waiting = unfinished(jobs)
    unfinished_runs = {job.config.run for job in waiting}
    outcomes = {job.config.run: "skipped" for job in jobs}
    for job in jobs:
        if job.config.run not in unfinished_runs:
            on_event(job, "skipped")
    if not waiting:
        return outcomes
    study_folder = waiting[0].study_folder
    configs = [*check_too, *(job.config for job in waiting)]
    num_gpus, num_processes, plans = call_in_child(_check_in_child, configs, place, study_folder if check else None)
    if place.executor == LOCAL:  # plans are of this machine
        waiting = [planned(job, plans) for job in waiting]
    check_folder(study_folder, [job.folder for job in waiting])
    executor: Executor
    if place.executor == LOCAL:
        parallel = place.max_parallel or 1
        slots = slots_of(parallel, num_gpus=num_gpus, num_jobs=len(waiting), plans=plans.values())
        executor = LocalExecutor(slots, place.launch(num_processes))
    else:
        executor = make_executor(place.executor, place.executor_options, place.launch(num_processes))
    with owned_by_this_process(study_folder):
        for job in waiting:
            on_event(job, "planned")
        outcomes |= supervise(waiting, executor, on_event)
    return outcomes


def preview(jobs: Sequence[Job], place: Place) -> str:
    """Return what a distant executor would submit for jobs; empty: they are done here.

    Raises:
        UserError: what the executor needs is not installed.
    """
    if place.executor == LOCAL:
        return ""
    return make_executor(place.executor, place.executor_options, place.launch(place.num_processes or 1)).preview(jobs)


@quiet()  # what libraries say is in the logs of the runs
def _check_in_child(
    configs: Sequence[RunConfig], place: Place, study_folder: Path | None
) -> tuple[int, int, dict[str, RunPlan]]:
    """Check the runs; return the number of GPUs here, the number of processes per run, and the plan of each row.

    Args:
        study_folder: None: the runs were checked before.
    """
    import torch

    from hf_peft_compare.orchestration import preflight
    from hf_peft_compare.orchestration.teachers import label_train_texts

    num_gpus, num_processes = torch.cuda.device_count(), place.num_processes
    if place.executor != LOCAL or place.max_parallel not in (None, 1):
        num_processes = num_processes or 1
    elif num_processes is None:
        num_processes = most_processes(configs, num_gpus)
    elif num_gpus and num_processes > num_gpus:
        raise UserError(
            f"--num-processes is {num_processes}, but there are {num_gpus} GPU(s); set it to at most {num_gpus}."
        )
    if place.accelerate_config is not None and num_processes < 2:
        raise UserError(
            f"{place.accelerate_config.name} requires several processes, but a run has one here: found {num_gpus} "
            f"GPU(s). Set --num-processes to 2 or more, without --max-parallel."
        )
    if study_folder is None:
        return num_gpus, num_processes, {}
    label_train_texts(configs)
    return num_gpus, num_processes, preflight.check(configs, num_processes=num_processes, study_folder=study_folder)


def count_examples(configs: Sequence[RunConfig]) -> dict[str, Sizes]:
    """Return the sizes of the train and validation splits of rows, counted in a child process.

    Raises:
        UserError: a split cannot be loaded.
    """
    return call_in_child(_count_in_child, configs)


@quiet()
def _count_in_child(configs: Sequence[RunConfig]) -> dict[str, Sizes]:
    from hf_peft_compare.data.splits import load_by_choice
    from hf_peft_compare.orchestration.teachers import label_train_texts

    label_train_texts(configs)
    splits = load_by_choice(configs)
    sizes = {choice: Sizes(train=len(s["train"]), validation=len(s["validation"])) for choice, s in splits.items()}
    return {config.row: sizes[config.train_choice] for config in configs}


def most_processes(configs: Sequence[RunConfig], num_gpus: int) -> int:
    """Return the largest number of processes, at most one per GPU, that divides the effective batch of every run."""
    batches = [c.training.train_batch_size / c.training.gradient_accumulation_steps for c in configs]
    return next((n for n in range(num_gpus, 1, -1) if all(batch % n == 0 for batch in batches)), 1)
