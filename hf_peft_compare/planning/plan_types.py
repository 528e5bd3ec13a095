"""What a plan says: plain numbers in raw units, for the terminal, for programs, and for the record of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

PARTS = ("weights", "trainables", "gradients", "optimizer", "activations", "logits")
PHASES = ("train", "trunk", "validation", "test", "generation")


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """What a run takes of the device's memory, in bytes.

    Left out: what the driver, the kernels and cuBLAS take for themselves, and what fragmentation costs.

    Args:
        peak_bytes: the most at once, in training or in evaluation.
        at_train_peak: what the bytes are for at the peak of training, by name: "weights" (frozen ones and buffers),
            "trainables" (adapter, soft prompt, trained weights), "gradients", "optimizer", "logits" (all that has a
            column per word of the vocabulary), "activations" (the rest); empty where nothing is trained.
        train_peak_bytes: their sum; None where nothing is trained.
        evaluation_peak_bytes: the most at once in the test loss or in generation.
        weights_bytes, gradients_bytes, optimizer_bytes: all parameters and buffers; what is trained.
        activations_bytes: what one forward pass of the largest micro-batch keeps for its backward pass.
        available_bytes: the device's memory, less what a GPU keeps for itself.
        fits: whether the peak stays below it.
    """

    peak_bytes: int
    at_train_peak: dict[str, int]
    train_peak_bytes: int | None
    evaluation_peak_bytes: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    available_bytes: int
    fits: bool


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What one run will take.

    Args:
        device, precision: what it was estimated for; the precision is that of training, evaluation is in fp32.
        trainable_params, total_params: exact, shared parameters once; None where no model is used.
        num_train_steps: optimizer steps, an upper bound where training may stop early.
        micro_batch_size, train_width: rows and mean padded columns of a micro-batch, virtual tokens not counted.
        num_train_tokens: tokens of all training examples seen, without padding.
        flops, seconds: by phase: "train" (forward, backward, update), "trunk" (the states of a frozen trunk, which
            the first run keeps for all that have it in common), "validation", "test" (the test loss) and "generation";
            None where a size is not known or the step could not be traced.
        memory: None where no model is used or the step could not be traced.
        trunk_cache_bytes: what the states of the frozen trunk take on disk; None: no such cache.
        lengths_basis, time_basis: where the lengths of the examples and the seconds come from.
        notes: what was assumed, and what is not known.
    """

    study: str
    row: str
    seed: int
    method: str
    title: str
    device: str
    precision: str
    trainable_params: int | None = None
    total_params: int | None = None
    num_train_steps: int | None = 0
    micro_batch_size: int | None = None
    train_width: float | None = None
    num_train_tokens: int | None = 0
    flops: Mapping[str, float | None]
    seconds: Mapping[str, float | None]
    memory: MemoryPlan | None = None
    trunk_cache_bytes: int | None = None
    lengths_basis: str
    time_basis: str
    notes: Sequence[str] = ()

    @property
    def total_flops(self) -> float | None:
        """FLOPs of all phases."""
        return total(self.flops.values())

    @property
    def total_seconds(self) -> float | None:
        """Seconds of all phases."""
        return total(self.seconds.values())


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The plans of all runs of a study, and their sum."""

    study: str
    device: str
    runs: tuple[RunPlan, ...]

    @property
    def total_seconds(self) -> float | None:
        """Seconds of all runs, one after the other."""
        return total(plan.total_seconds for plan in self.runs)

    @property
    def total_flops(self) -> float | None:
        """FLOPs of all runs."""
        return total(plan.total_flops for plan in self.runs)

    @property
    def does_not_fit(self) -> list[str]:
        """Names of the rows whose peak is above the device's memory."""
        return list(dict.fromkeys(plan.row for plan in self.runs if plan.memory and not plan.memory.fits))

    def as_json(self) -> dict[str, Any]:
        """Give everything as plain values, the sums beside the runs."""
        sums = {"total_seconds": self.total_seconds, "total_flops": self.total_flops}
        return {**asdict(self), **sums, "does_not_fit": self.does_not_fit}


def total(values: Any) -> float | None:
    """Add numbers; None where one of them is not known."""
    found = list(values)
    return None if None in found else sum(found)
