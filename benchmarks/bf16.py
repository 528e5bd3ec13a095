"""A training step of SmolLM2-135M in bf16 against float32, on processors that have bf16 in hardware."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import ours
from benchmarks.table import Benchmark, Row, Skipped
from benchmarks.training_step import QUICK, Size, compare_steps, our_steps, settings_of, take_steps
from benchmarks.turns import Turns
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.utils.bf16 import cpu_has_bf16

METHODS = ("lora", "full")
SIZE = Size(batch_size=2, num_tokens=256)
MAX_DIFFERENCE = 0.01  # between losses of about 11


def run(quick: bool) -> list[Row]:
    """Compare our step in bf16 with our step in float32."""
    if not quick and not cpu_has_bf16():
        raise Skipped("this processor emulates bf16")
    size = QUICK if quick else SIZE
    rows = []
    for method in METHODS:
        config = ours.smollm2_run(method, *settings_of(size), "training.bf16=true", quick=quick)
        sides = take_steps(config, size, plain=steps_in_float32)
        rows += compare_steps(method, sides, max_difference=MAX_DIFFERENCE)[:2]
    return rows


def steps_in_float32(config: RunConfig, size: Size, folder: str, turns: Turns) -> None:
    """Train the same run in float32."""
    our_steps(replace(config, training=replace(config.training, bf16=False)), size, folder, turns)


BENCHMARK = Benchmark(
    name="bf16",
    title="Training in bf16 on a processor",
    about=(
        "SmolLM2-135M from its config, 2 × 256 tokens of which 64 each are labeled. Both sides are ours; weights and "
        "optimizer stay in float32."
    ),
    run=run,
    sides=("bf16", "float32"),
)
