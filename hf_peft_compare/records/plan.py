"""What a run was estimated to take before it ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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
    """Add numbers; None where one of them is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None
