"""Estimates of a run's time and memory, made before the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MemoryPlan:
    """Estimated device memory of a run, in bytes.

    Not included: memory of the driver, the kernels and cuBLAS, and fragmentation.

    Args:
        peak_bytes: the peak of training and evaluation.
        at_train_peak: the bytes at the peak of training by category: "weights" (frozen ones and buffers),
            "trainables" (adapter, soft prompt, trained weights), "gradients", "optimizer", "logits" (all tensors
            with a vocabulary dimension), "activations" (the rest); empty if nothing is trained.
        train_peak_bytes: their sum; None if nothing is trained.
        evaluation_peak_bytes: the peak of computing the test loss and of generation.
        weights_bytes, gradients_bytes, optimizer_bytes: of all parameters and buffers; of the trained parameters.
        activations_bytes: tensors that one forward pass of the largest micro-batch saves for its backward pass.
        available_bytes: the device's memory, minus what a GPU reserves.
        fits: whether the peak stays below `available_bytes`.
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunPlan:
    """The estimates for one run.

    Args:
        study, row, seed, method, title: the run, its method, and the method's name in tables.
        device, precision: the device and training precision of the estimate; evaluation is in fp32.
        trainable_params, total_params: exact numbers, shared parameters count once; None if no model is used.
        num_train_steps: optimizer steps, an upper bound if training may stop early.
        micro_batch_size, train_width: rows and mean padded columns of a micro-batch, without virtual tokens.
        num_train_tokens: tokens of all training examples seen, without padding.
        flops, seconds: by phase: "train" (forward, backward, update), "trunk" (the states of a frozen trunk, which
            the first run caches for all runs that share it), "validation", "test" (the test loss) and "generation";
            None if a size is unknown or the step could not be traced.
        memory: None if no model is used or the step could not be traced.
        trunk_cache_bytes: size of the frozen trunk's states on disk; None: no cache.
        lengths_basis, time_basis: the source of the example lengths and of the seconds.
        notes: assumptions and unknowns.
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
    flops: dict[str, float | None]
    seconds: dict[str, float | None]
    memory: MemoryPlan | None = None
    trunk_cache_bytes: int | None = None
    lengths_basis: str
    time_basis: str
    notes: list[str] = field(default_factory=list)

    @property
    def total_flops(self) -> float | None:
        """FLOPs of all phases."""
        return total(self.flops.values())

    @property
    def total_seconds(self) -> float | None:
        """Seconds of all phases."""
        return total(self.seconds.values())


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of numbers; None if one of them is unknown."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None
