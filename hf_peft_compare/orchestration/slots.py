"""Where runs are done: one after the other on the whole machine, or side by side on a share of it each."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.provenance import SIDE_BY_SIDE

MaxParallel = int | Literal["auto"]
MOST_MEMORY = 0.8  # of the machine's, for all runs at once
# FLOPs of an optimizer step: above, training uses two cores as well as two runs do, below it does not, and loading and
# scoring never do (benchmarks/RESULTS.md).
SMALL_STEP = 300e9


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The share of the machine that one run at a time has.

    Args:
        gpu: number of its GPU; None: the default device.
        num_threads: CPU threads of its process; None: torch's own number.
        side_by_side: number of runs on the machine at once.
    """

    gpu: str | None = None
    num_threads: int | None = None
    side_by_side: int = 1

    def take(self) -> None:
        """Restrict this process to the share."""
        os.environ[SIDE_BY_SIDE] = str(self.side_by_side)
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        if self.num_threads is not None:
            import torch

            torch.set_num_threads(self.num_threads)


def check_parallel(max_parallel: MaxParallel | None, num_processes: int | None) -> None:
    """Raise UserError for a number of runs that is none, or with several processes for each of several runs."""
    if max_parallel is None:
        return
    if max_parallel != "auto" and (not isinstance(max_parallel, int) or max_parallel < 1):
        raise UserError(f"max_parallel is {max_parallel!r}; expected a number of runs, such as 2, or 'auto'.")
    if max_parallel != 1 and (num_processes or 1) > 1:
        raise UserError(
            f"--max-parallel is {max_parallel} and --num-processes {num_processes}, but runs side by side have one "
            f"process each; leave one of them out."
        )


def slots_of(max_parallel: MaxParallel, *, num_gpus: int, num_jobs: int, plans: Collection[RunPlan]) -> list[Slot]:
    """Return a slot for each run that may be done at the same time.

    Args:
        max_parallel: their largest number. "auto": one per GPU; without GPUs, one per CPU core if every run is of so
            small steps that this is faster, and if their memory suffices.
        plans: of the rows with a model.

    Raises:
        UserError: more runs than CPU cores.
    """
    num_cores = count_cores()
    if num_gpus:
        number = num_gpus if max_parallel == "auto" else max_parallel
        if number == 1:
            return [Slot()]
        return [Slot(gpu=str(i % num_gpus), side_by_side=number) for i in range(min(number, num_jobs))]
    number = _most_on_cpu(num_cores, plans) if max_parallel == "auto" else max_parallel
    if number > num_cores:
        raise UserError(
            f"--max-parallel is {number}, but there are {num_cores} CPU core(s) and no GPU; set it to at most "
            f"{num_cores}."
        )
    number = min(number, num_jobs)
    return [Slot(num_threads=num_cores // number, side_by_side=number)] * number if number > 1 else [Slot()]


def count_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _most_on_cpu(num_cores: int, plans: Collection[RunPlan]) -> int:
    """Return the number of runs side by side that is fastest by the plans of their rows."""
    for plan in plans:
        flops = plan.flops.get("train")
        if flops is None or flops > SMALL_STEP * max(plan.num_train_steps or 1, 1):
            return 1
    memories = [plan.memory for plan in plans]
    if not memories or any(memory is None for memory in memories):  # nothing is known of their size
        return 1
    fitting = [int(MOST_MEMORY * memory.available_bytes / memory.peak_bytes) for memory in memories if memory]
    return max(min([num_cores, *fitting]), 1)
