"""Estimates: the total cost of a run, from the traces of its parts and how often each part runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.models.frozen_trunk import Trunk
from hf_peft_compare.models.heads import base_of, head_of
from hf_peft_compare.planning.devices import SECONDS_PER_STEP, Device, Op
from hf_peft_compare.planning.lengths import Shape, Shapes
from hf_peft_compare.planning.meta_models import make_batch, make_optimizer, make_prompts
from hf_peft_compare.planning.tracing import ForwardTrace, Ops, StepTrace, trace_forward, trace_step
from hf_peft_compare.records.plan import MemoryPlan

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How often each part of a run is executed; None: unknown without the data.

    Args:
        steps, validations: number of optimizer steps and of passes over the validation split.
        batches: number of batches of each split and of generation, as if all were of the largest size.
    """

    steps: int | None
    validations: int | None
    batches: Mapping[str, float | None]

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return self.steps != 0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The cost of each part of a run, in FLOPs or in seconds.

    Args:
        step: one optimizer step.
        validation, test: one batch of evaluation; validation reads the frozen trunk's states if they are cached.
        generation: one batch of test prompts, each with the maximum number of new tokens.
    """

    step: float
    validation: float
    test: float
    generation: float


@dataclass(frozen=True, kw_only=True)
class Traces:
    """All traces of one row.

    Args:
        largest, mean: a step of the largest micro-batch and of one of mean size; None if nothing is trained.
        validation, test: the largest batch of evaluation, with and without cached states of the frozen trunk.
        cached: a batch of the longest prompts and the maximum number of new tokens, prefilled into a cache; None if
            nothing is generated.
        prompts, prompt_share: operations, and their share that reads the prompts without what these share.
        token: generation of one token for each of its rows.
    """

    largest: StepTrace | None
    mean: StepTrace | None
    validation: ForwardTrace
    test: ForwardTrace
    cached: ForwardTrace | None = None
    prompts: Ops = field(default_factory=Counter)
    prompt_share: float = 1.0
    token: Ops = field(default_factory=Counter)


def count_parts(
    config: RunConfig, num_examples: Mapping[str, int | None], shapes: Shapes, *, num_processes: int = 1
) -> Counts:
    """Count the steps and batches of a run; steps are an upper bound if training may stop early."""
    training, num_train = config.training, num_examples["train"]
    per_epoch = None if num_train is None else max(num_train // training.train_batch_size, 1)
    steps = training.max_steps if training.max_steps > 0 else _ceil(times(training.num_train_epochs, per_epoch))
    between = per_epoch if training.eval_strategy == "epoch" else training.eval_steps
    validations = None if steps is None or between is None else math.ceil(steps / between)  # the last step's too
    num_generated = num_examples["test"] if head_of(config).generates else 0
    trains, sizes = config.method_type.trains, {**num_examples, "generation": num_generated}
    rows = shapes.evaluation.num_rows * num_processes
    return Counts(
        steps=steps if trains else 0,
        validations=validations if trains else 0,
        batches={name: times(size, shapes.shares[name], 1 / rows) for name, size in sizes.items()},
    )


def trace_parts(
    model: PreTrainedModel, config: RunConfig, shapes: Shapes, device: Device, *, bf16: bool, trunk: Trunk | None
) -> Traces:
    """Trace every part of a run, each shape once.

    Args:
        model: on the meta device.
        trunk: the frozen trunk whose states are cached; None: it is computed in every pass.
    """
    trains = any(parameter.requires_grad for parameter in model.parameters())
    apart = head_of(config).reads_apart
    packs = config.training.packing and trunk is None and config.max_text_length == config.max_length and not apart
    accumulates = config.training.gradient_accumulation_steps > 1

    def step(shape: Shape) -> StepTrace | None:
        if not trains:
            return None
        batch = make_batch(shape, trunk=trunk, packs=packs, apart=apart)
        optimizer = make_optimizer(model, config, device)
        return trace_step(model, batch, optimizer, device=device, bf16=bf16, accumulates=accumulates)

    # A trunk accepts states only after a pass without them, so the test batch is traced first.
    test = trace_forward(model, make_batch(shapes.evaluation, apart=apart), device=device)
    generates = _trace_writing if apart else _trace_generation
    generation = generates(model, config, shapes, device) if head_of(config).generates else {}
    largest = step(shapes.train_largest)
    return Traces(
        largest=largest,
        mean=largest if shapes.train_mean == shapes.train_largest else step(shapes.train_mean),
        validation=trace_forward(model, make_batch(shapes.evaluation, trunk=trunk), device=device) if trunk else test,
        test=test,
        **generation,
    )


def _trace_generation(model: PreTrainedModel, config: RunConfig, shapes: Shapes, device: Device) -> dict[str, Any]:
    prompts = _cached_batch(config, shapes)
    cached = trace_forward(model, prompts, device=device)
    num_shared = shapes.num_shared if config.generation.starts_from_cache else 0
    share = (shapes.longest_prompt - num_shared) / prompts["input_ids"].shape[1]
    token = _token_ops(cached, prompts, model)
    return {"cached": cached, "prompts": cached.ops, "prompt_share": share, "token": token}


def _trace_writing(model: Any, config: RunConfig, shapes: Shapes, device: Device) -> dict[str, Any]:
    """Trace an encoder-decoder that reads the longest prompts, and writes one token, or one and the maximum number.

    A further token costs its share of the difference, and reads the cache and all weights but the encoder's.
    """
    num_rows, num_new = shapes.evaluation.num_rows * config.generation.num_beams, config.generation.max_new_tokens

    def trace(num_tokens: int) -> ForwardTrace:
        shape = Shape(num_rows, shapes.longest_prompt + num_tokens, num_tokens)
        return trace_forward(model, {**make_batch(shape, apart=True), "use_cache": True}, device=device)

    first, cached = trace(1), trace(num_new + 1)
    encoder = base_of(model).get_encoder()
    reading = trace_forward(encoder, make_prompts(num_rows, shapes.longest_prompt), device=device)
    embedding = encoder.get_input_embeddings().weight  # which the decoder has too
    busy = Op(
        flops=(_sum_flops(cached.ops) - _sum_flops(first.ops)) // num_new,
        num_bytes=cached.cache_bytes + cached.weights_bytes - reading.weights_bytes + embedding.nbytes,
        half=False,
    )
    calls = Op(flops=0, num_bytes=0, half=False)
    token = Counter({busy: 1, calls: sum(first.ops.values()) - sum(reading.ops.values())})
    return {"cached": cached, "prompts": first.ops, "token": token}


def _cached_batch(config: RunConfig, shapes: Shapes) -> dict[str, Any]:
    """Build a batch of the longest prompts and the maximum number of new tokens, to be prefilled into a cache."""
    num_rows = shapes.evaluation.num_rows * config.generation.num_beams
    width = shapes.longest_prompt + config.generation.max_new_tokens
    return {**make_prompts(num_rows, width), "logits_to_keep": 1, "use_cache": True}


def _token_ops(cached: ForwardTrace, batch: Mapping[str, Any], model: Any) -> Ops:
    """Return the operations of one new token per row: its share of the columns, the LM head, weights and cache read.

    A column of a pass over W tokens attends to W keys, like a token that is generated after them.
    """
    num_rows, width = batch["input_ids"].shape
    flops = _sum_flops(cached.ops) // width
    flops += 2 * num_rows * model.get_output_embeddings().weight.numel()
    busy = Op(flops=flops, num_bytes=cached.cache_bytes + cached.weights_bytes, half=False)
    return Counter({busy: 1, Op(flops=0, num_bytes=0, half=False): sum(cached.ops.values())})


def _sum_flops(ops: Ops) -> int:
    return sum(op.flops * count for op, count in ops.items())


def count_flops(traces: Traces, config: RunConfig) -> Parts:
    """Return the FLOPs of every part."""
    return _parts(traces, config, _sum_flops)


def estimate_seconds(traces: Traces, config: RunConfig, device: Device) -> Parts:
    """Return the estimated seconds of every part on a device."""
    parts = _parts(traces, config, device.seconds)
    return replace(parts, step=parts.step + SECONDS_PER_STEP) if traces.mean else parts


def _parts(traces: Traces, config: RunConfig, measure: Callable[[Ops], float]) -> Parts:
    accumulation, step = config.training.gradient_accumulation_steps, traces.mean
    read, written = traces.prompt_share * measure(traces.prompts), measure(traces.token)
    return Parts(
        step=accumulation * (measure(step.forward) + measure(step.backward)) + measure(step.update) if step else 0,
        validation=measure(traces.validation.ops),
        test=measure(traces.test.ops),
        generation=read + config.generation.max_new_tokens * written,
    )


def totals(parts: Parts, counts: Counts, *, keeps_trunk: bool) -> dict[str, float | None]:
    """Return the totals of a run by phase."""
    batches, fill = counts.batches, parts.test - parts.validation if keeps_trunk else 0.0
    return {
        "train": times(counts.steps, parts.step),
        "trunk": times(add(batches["train"], batches["validation"]), fill),
        "validation": times(counts.validations, batches["validation"], parts.validation),
        "test": times(batches["test"], parts.test),
        "generation": times(batches["generation"], parts.generation),
    }


def plan_memory(traces: Traces, device: Device) -> MemoryPlan:
    """Return the memory that a run uses on a device."""
    step = traces.largest
    evaluation_peak_bytes = max(trace.peak_bytes for trace in (traces.test, traces.cached) if trace)
    train_peak_bytes = sum(step.at_peak.values()) if step else None
    peak_bytes = max(evaluation_peak_bytes, train_peak_bytes or 0)
    return MemoryPlan(
        peak_bytes=peak_bytes,
        train_peak_bytes=train_peak_bytes,
        evaluation_peak_bytes=evaluation_peak_bytes,
        at_train_peak=step.at_peak if step else {},
        weights_bytes=traces.test.weights_bytes,
        gradients_bytes=step.gradients_bytes if step else 0,
        optimizer_bytes=step.optimizer_bytes if step else 0,
        activations_bytes=step.activations_bytes if step else 0,
        available_bytes=device.usable_bytes,
        fits=peak_bytes <= device.usable_bytes,
    )


def times(*factors: float | None) -> float | None:
    """Multiply; None if a factor is unknown, unless another is zero."""
    if 0 in factors:
        return 0
    return None if None in factors else math.prod(factors)  # type: ignore[arg-type]


def _ceil(value: float | None) -> int | None:
    return None if value is None else math.ceil(value)


def add(*terms: float | None) -> float | None:
    """Add; None if a term is unknown."""
    return None if None in terms else sum(terms)  # type: ignore[arg-type]
