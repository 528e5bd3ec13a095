"""Calibration: measured rates of this machine's device, and the time of a few real steps on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.frozen_trunk import find_trunk
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import prepare_base, random_base
from hf_peft_compare.planning.devices import MEASURED_RATE, Device, find_device, here
from hf_peft_compare.planning.estimates import Parts
from hf_peft_compare.planning.lengths import Shapes
from hf_peft_compare.planning.meta_models import make_batch, make_optimizer, make_prompts
from hf_peft_compare.training.factory import apply_method

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

MATRIX_SIZE = {"cpu": 1024, "cuda": 8192}  # a GPU needs a larger matrix to be fully used
COPIED_BYTES = {"cpu": 8_000_000, "cuda": 1_000_000_000}  # on a CPU small enough for its caches, like activations
NUM_CALLS = 3
ENOUGH_SECONDS = 20.0  # of calls; one call is enough for a slower function
NUM_TIMED_TOKENS = 8


def find_calibrated(name: str | None) -> Device:
    """Return this machine's device with measured rates.

    Raises:
        UserError: another device was requested.
    """
    present = here()
    if name is not None and find_device(name).name != present.name:
        raise UserError(f"--calibrate measures this machine's device, {present.name}; leave out --device {name}.")
    return measure_rates(present)


def measure_rates(device: Device) -> Device:
    """Return this machine's device with the measured rates of a large matrix product and a large copy."""
    where = device.torch_name
    size = MATRIX_SIZE[where]
    matrix = torch.randn(size, size, device=where)
    half = matrix.to(torch.bfloat16) if device.bf16 else matrix
    copied = torch.zeros(COPIED_BYTES[where], dtype=torch.uint8, device=where)
    target = torch.empty_like(copied)
    return replace(
        device,
        float_rate=2 * size**3 / seconds_of(lambda: matrix @ matrix, where, of=min),
        half_rate=2 * size**3 / seconds_of(lambda: half @ half, where, of=min),
        memory_rate=2 * copied.nbytes / seconds_of(lambda: target.copy_(copied), where, of=min),
        basis=MEASURED_RATE,
    )


def time_parts(
    config: RunConfig,
    architecture: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    shapes: Shapes,
    device: Device,
    *,
    bf16: bool,
    keeps_trunk: bool,
) -> Parts:
    """Time the parts of a run with a real model of random weights on this machine's device."""
    where = device.torch_name
    head, apart = head_of(config), head_of(config).reads_apart
    base = random_base(config, architecture)
    prepare_base(base, tokenizer)
    model = apply_method(base, config, tokenizer).to(where)
    trunk = find_trunk(model) if keeps_trunk else None
    test = _time_forward(model, make_batch(shapes.evaluation, apart=apart, device=where), where)
    with_states = make_batch(shapes.evaluation, trunk=trunk, apart=apart, device=where)
    return Parts(
        step=_time_step(
            model, config, make_batch(shapes.train_mean, trunk=trunk, apart=apart, device=where), device, bf16=bf16
        ),
        validation=_time_forward(model, with_states, where) if trunk else test,
        test=test,
        generation=_time_generation(model, config, shapes, where) if head.generates else 0.0,
    )


def _time_forward(model: PreTrainedModel, inputs: Mapping[str, object], where: str) -> float:
    model.eval()
    with torch.inference_mode():
        return seconds_of(lambda: model(**inputs), where)


def _time_step(
    model: PreTrainedModel, config: RunConfig, inputs: Mapping[str, object], device: Device, *, bf16: bool
) -> float:
    """Time one optimizer step with all its micro-batches; 0 if nothing is trained."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return 0.0
    model.train()
    optimizer, where = make_optimizer(model, config, device), device.torch_name

    def passes() -> None:
        with torch.autocast(where, dtype=torch.bfloat16, enabled=bf16):
            loss = model(**inputs).loss
        loss.backward()

    micro_batch_seconds = seconds_of(passes, where)
    update_seconds = seconds_of(optimizer.step, where)
    optimizer.zero_grad()
    return config.training.gradient_accumulation_steps * micro_batch_seconds + update_seconds


def _time_generation(model: Any, config: RunConfig, shapes: Shapes, where: str) -> float:
    """Time one batch of prompts: prefill and a few tokens, extrapolated to all tokens."""
    inputs = make_prompts(shapes.evaluation.num_rows, shapes.longest_prompt, device=where)
    settings = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, "num_beams": config.generation.num_beams}
    if head_of(config).reads_apart:
        settings["decoder_start_token_id"] = model.config.decoder_start_token_id
    model.eval()

    def generate(num_tokens: int) -> float:
        counts = {"min_new_tokens": num_tokens, "max_new_tokens": num_tokens}
        return seconds_of(lambda: model.generate(**inputs, **counts, **settings), where)

    with torch.inference_mode():
        first, last = generate(1), generate(1 + NUM_TIMED_TOKENS)
    return first + (config.generation.max_new_tokens - 1) * (last - first) / NUM_TIMED_TOKENS


def seconds_of(function: Callable[[], object], where: str, *, of: Callable[[list[float]], float] = median) -> float:
    """Return the median seconds of a few calls after a warm-up call; for a slow function the first call is used.

    Args:
        of: the statistic of the calls; `min` estimates what a device can do despite other load.
    """
    seconds: list[float] = []
    while len(seconds) <= NUM_CALLS and sum(seconds) < ENOUGH_SECONDS:
        start = perf_counter()
        function()
        if where == "cuda":
            torch.cuda.synchronize()
        seconds.append(perf_counter() - start)
    return of(seconds[1:] or seconds)
