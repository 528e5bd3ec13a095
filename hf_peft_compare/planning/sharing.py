"""Sharing: the parts of a run's memory that several processes divide among themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.heads import base_of
from hf_peft_compare.planning.quantized_sizes import quantized_weights
from hf_peft_compare.records.plan import MemoryPlan

FSDP_DIVIDES = ("weights", "trainables", "gradients", "optimizer")
ZERO2_DIVIDES = ("gradients", "optimizer")
GATHERED_BLOCKS = 2  # the one that is computed, and the next one, which is fetched meanwhile


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """The processes of a run, and the parts of its memory that they divide; the others are held by each."""

    num_processes: int = 1
    divides: tuple[str, ...] = ()


ALONE = Sharing()


def read_sharing(num_processes: int | None, config: Path | None) -> Sharing:
    """Return how the processes of a run share its memory.

    Args:
        num_processes: None: the number in `config`, or one.
        config: a config file of `accelerate launch`; None: each process holds the whole model.

    Raises:
        UserError: the file cannot be read.
    """
    if config is None:
        return Sharing(num_processes=num_processes or 1)
    try:
        fields = yaml.safe_load(config.read_text(encoding="utf-8"))
        kind, number = str(fields.get("distributed_type")), num_processes or int(fields.get("num_processes") or 1)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, ValueError) as error:
        raise UserError(f"{config} is no config of accelerate ({error}); write one by `accelerate config`.") from None
    divides = {"FSDP": FSDP_DIVIDES, "DEEPSPEED": ZERO2_DIVIDES}.get(kind, ())
    return Sharing(num_processes=number, divides=divides)


def divided(memory: MemoryPlan, sharing: Sharing, gathered_bytes: int) -> MemoryPlan:
    """Return the memory of one of several processes.

    Args:
        memory: of one process that holds everything, with its own share of the batch.
        gathered_bytes: the whole weights that a process holds at once while others keep the rest of them.
    """
    if sharing.num_processes == 1 or not sharing.divides:
        return memory

    def share(part: str, num_bytes: int) -> int:
        return -(-num_bytes // sharing.num_processes) if part in sharing.divides else num_bytes

    at_peak = {part: share(part, num_bytes) for part, num_bytes in memory.at_train_peak.items()}
    weights_bytes, gathered = share("weights", memory.weights_bytes), 0
    if "weights" in sharing.divides:
        gathered = min(gathered_bytes, memory.weights_bytes - weights_bytes)
        at_peak |= {"gathered": gathered} if at_peak else {}
    evaluation_peak_bytes = memory.evaluation_peak_bytes - memory.weights_bytes + weights_bytes + gathered
    train_peak_bytes = sum(at_peak.values()) if at_peak else None
    peak_bytes = max(evaluation_peak_bytes, train_peak_bytes or 0)
    return replace(
        memory,
        peak_bytes=peak_bytes,
        at_train_peak=at_peak,
        train_peak_bytes=train_peak_bytes,
        evaluation_peak_bytes=evaluation_peak_bytes,
        weights_bytes=weights_bytes,
        gradients_bytes=share("gradients", memory.gradients_bytes),
        optimizer_bytes=share("optimizer", memory.optimizer_bytes),
        fits=peak_bytes <= memory.available_bytes,
    )


def count_gathered_bytes(model: Any) -> int:
    """Return the bytes of whole weights that FSDP gathers at once: two blocks, and all that is in no block."""
    base = base_of(model)
    packed = {id(weight): num_bytes for weight, num_bytes in quantized_weights(model)}

    def count(module: Any) -> int:
        return sum(packed.get(id(p), p.numel() * p.element_size()) for p in module.parameters())

    names = set(getattr(base, "_no_split_modules", None) or ())
    blocks = [count(module) for module in base.modules() if type(module).__name__ in names]
    return count(base) - sum(blocks) + GATHERED_BLOCKS * max(blocks, default=0)
