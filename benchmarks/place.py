"""Device and sizes of `benchmarks.gpu`: the study's own sizes, or small ones that check the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks import ours
from benchmarks.turns import Side, interleave
from hf_peft_compare.config.schema import RunConfig


@dataclass(frozen=True, kw_only=True)
class Size:
    """Turns of each side and steps of a turn, shortest and longest example, labeled and generated tokens, prompts."""

    repetitions: int = 5
    steps: int = 10
    num_tokens: int = 512
    min_num_tokens: int = 128
    num_completion_tokens: int = 64
    num_new_tokens: int = 100
    num_prompts: int = 32
    matrix_size: int = 8192
    num_products: int = 50


QUICK = Size(
    repetitions=1,
    steps=4,
    num_tokens=64,
    min_num_tokens=24,
    num_completion_tokens=8,
    num_new_tokens=8,
    num_prompts=4,
    matrix_size=64,
    num_products=2,
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The device and the sizes of a measurement."""

    device: str
    quick: bool

    @property
    def size(self) -> Size:
        """The sizes of this measurement."""
        return QUICK if self.quick else Size()

    def run(self, row: str, *overrides: str) -> RunConfig:
        """Return a run of the study."""
        size = self.size
        settings = [
            f"max_length={size.num_tokens}",
            f"training.logging_steps={size.steps}",
            "training.trunk_cache=false",
            f"generation.max_new_tokens={size.num_new_tokens}",
            f"generation.min_new_tokens={size.num_new_tokens}",  # random weights may generate the end of text at once
            *overrides,
        ]
        return ours.gpt2_run(row, *settings, quick=self.quick, dropout=True)

    def interleave(self, sides: Any, *, warmups: int = 1) -> dict[str, Side]:
        """Run the sides in alternating turns."""
        return interleave(sides, repetitions=self.size.repetitions, warmups=warmups)
