"""The contents of a plan: plain numbers in raw units, for the terminal, for programs, and for a run's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hf_peft_compare.records.plan import RunPlan, total

PARTS = ("weights", "trainables", "gradients", "optimizer", "activations", "logits")
PHASES = ("train", "trunk", "validation", "test", "generation")


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """The cost of tuning one row before its runs; `num_trials` is None where the budget is not in trials."""

    seconds: float | None
    flops: float | None
    num_trials: int | None = None


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The plans of all runs of a study, and their totals.

    Args:
        num_processes: processes of each run; memory is that of one of them.
        misfits: {row that exceeds the memory: what does not fit, and the nearest change that does}.
        tuning: {row: the cost of its trials}, of rows that are tuned.
    """

    study: str
    device: str
    runs: tuple[RunPlan, ...]
    num_processes: int = 1
    misfits: Mapping[str, str] = field(default_factory=dict)
    tuning: Mapping[str, TuningPlan] = field(default_factory=dict)

    @property
    def total_seconds(self) -> float | None:
        """Seconds of all trials and runs, one after the other."""
        return total([*(plan.total_seconds for plan in self.runs), *(plan.seconds for plan in self.tuning.values())])

    @property
    def total_flops(self) -> float | None:
        """FLOPs of all trials and runs."""
        return total([*(plan.total_flops for plan in self.runs), *(plan.flops for plan in self.tuning.values())])

    @property
    def does_not_fit(self) -> list[str]:
        """Names of the rows whose peak exceeds the device's memory."""
        return list(dict.fromkeys(plan.row for plan in self.runs if plan.memory and not plan.memory.fits))

    def __str__(self) -> str:
        from hf_peft_compare.planning.console import render_plan

        return render_plan(self)

    def as_json(self) -> dict[str, Any]:
        """Return all runs and totals as plain values."""
        sums = {"total_seconds": self.total_seconds, "total_flops": self.total_flops}
        return {**asdict(self), **sums, "does_not_fit": self.does_not_fit}
