"""Fitting: for a row that exceeds the device's memory, the nearest change that makes it fit, by planning it anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.planning.sharing import FSDP_DIVIDES, Sharing, divided
from hf_peft_compare.records.plan import MemoryPlan, RunPlan
from hf_peft_compare.utils.formatting import format_bytes

MOST_PROCESSES = 64
Plan = Callable[[RunConfig], RunPlan]


def describe_misfit(
    config: RunConfig, plan: RunPlan, replan: Plan, *, num_processes: int, gathered_bytes: int, cuda: bool
) -> str:
    """Return what does not fit, and the nearest change that does, in one sentence.

    Changes that leave the scores as they are come first: smaller batches of evaluation, more and smaller micro-batches,
    gradient checkpointing. Where the weights and what training adds to them exceed the memory by themselves, no batch
    is small enough: then several GPUs, or a base in 4 bits.

    Args:
        plan: the plan that exceeds the memory.
        replan: plans the row with other settings.
        gathered_bytes: whole weights that a process holds at once when the rest is divided.
    """
    memory = plan.memory
    assert memory is not None
    held = memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes
    available = format_bytes(memory.available_bytes)
    if held <= memory.available_bytes:
        needs = f"{plan.row} needs {format_bytes(memory.peak_bytes)} of {available}"
        if (found := _smaller_batches(config, memory, replan, num_processes)) is not None:
            return f"{needs}; {found}"
    else:
        alone = memory.weights_bytes > memory.available_bytes
        parts = "weights alone take" if alone else "weights, gradients and optimizer state take"
        needs = f"{plan.row}: {parts} {format_bytes(memory.weights_bytes if alone else held)} of {available}"
    ways = [*(_over_processes(memory, num_processes, gathered_bytes) if cuda else ()), *_in_4_bits(config, replan)]
    return f"{needs}; {', or '.join(ways) or 'use a smaller model, or a device with more memory'}"


def _smaller_batches(config: RunConfig, memory: MemoryPlan, replan: Plan, num_processes: int) -> str | None:
    """Return the fewest changes of batches and checkpointing with which a row fits; None if it never does."""
    training, changes = config.training, dict[str, Any]()
    halves = [training.eval_batch_size >> n for n in range(1, training.eval_batch_size.bit_length())]
    rows = training.train_batch_size // num_processes
    finer = [n for n in range(training.gradient_accumulation_steps + 1, rows + 1) if rows % n == 0]
    found: MemoryPlan | None = memory
    for name, values, peak in (
        ("eval_batch_size", halves, "evaluation_peak_bytes"),
        ("gradient_accumulation_steps", finer, "train_peak_bytes"),
        ("gradient_checkpointing", [True], "train_peak_bytes"),
    ):
        for value in values:
            if found is None or (getattr(found, peak) or 0) <= found.available_bytes:
                break
            changes[name] = value
            found = replan(replace(config, training=replace(training, **changes))).memory
    if found is None or not found.fits:
        return None
    settings = " ".join(f"--set training.{key}={str(value).lower()}" for key, value in changes.items())
    return f"{settings}: {format_bytes(found.peak_bytes)}"


def _over_processes(memory: MemoryPlan, num_processes: int, gathered_bytes: int) -> Iterator[str]:
    factor = 2
    while num_processes * factor <= MOST_PROCESSES:
        found = divided(memory, Sharing(num_processes=factor, divides=FSDP_DIVIDES), gathered_bytes)
        if found.fits:
            number = num_processes * factor
            options = f"--num-processes {number} --accelerate-config fsdp"
            yield f"FSDP over {number} ({options}): {format_bytes(found.peak_bytes)} each"
            return
        factor *= 2


def _in_4_bits(config: RunConfig, replan: Plan) -> Iterator[str]:
    """Yield what QLoRA takes, if the row trains and its base can be packed."""
    method = config.method_type
    if not method.trains or method.quantization(config.method_settings) is not None:
        return
    own = asdict(config.method_settings) if method.name == "lora" else {}
    try:
        found = replan(replace(config, method={**own, "name": "qlora"})).memory
    except UserError:  # no layer of this base can be packed, or peft does not know its architecture
        return
    if found is not None and found.fits:
        yield f"QLoRA: {format_bytes(found.peak_bytes)}"
