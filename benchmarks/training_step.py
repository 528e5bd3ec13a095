"""The optimizer step of GPT-2 small: seconds, memory and FLOPs, for each method."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks import ours, recipes
from benchmarks.table import MAX_LOSS_DIFFERENCE, Benchmark, Row, compare_seconds, same_losses
from benchmarks.turns import Side, TakeTurns, Turns, interleave
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.utils.flops import FlopCounter

METHODS = ("prompt_tuning", "last_layer_head", "last_layers", "lora", "full")  # rows of the study
AIMS = {"lora": 1.35, "full": 1.35}


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes: turns of each side, B × T tokens of which K are labeled, the side of the square matrices."""

    repetitions: int = 3
    batch_size: int = 4
    num_tokens: int = 512
    num_completion_tokens: int = 64
    matrix_size: int = 2048


Steps = Callable[[RunConfig, Size, str, Turns], None]  # (run, sizes, folder, turns)
QUICK = Size(repetitions=2, batch_size=2, num_tokens=48, num_completion_tokens=8, matrix_size=64)


class CountFlops(TakeTurns):
    """Take turns, and count the FLOPs of the first step, which belongs to the warm-up."""

    def __init__(self, turns: Turns, *, steps: int = 1):
        super().__init__(turns, steps=steps)
        self.counter = FlopCounter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start counting."""
        if not state.global_step:
            self.counter.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop counting."""
        if state.global_step == 1:
            self.counter.__exit__(None, None, None)
        self.result["flops"] = self.counter.num_flops
        super().on_step_end(args, state, control, **kwargs)


def run(quick: bool) -> list[Row]:
    """Compare every method's step with the plain recipe's, in alternating turns with a matrix product."""
    size = QUICK if quick else Size()
    return [row for method in METHODS for row in _compare(method, size, quick)]


def _compare(method: str, size: Size, quick: bool) -> list[Row]:
    """Return a method's three rows: seconds, memory, arithmetic."""
    return compare_steps(method, take_steps(step_run(method, size, quick), size), aim=AIMS.get(method))


def compare_steps(
    name: str, sides: Mapping[str, Side], *, aim: float | None = None, max_difference: float = MAX_LOSS_DIFFERENCE
) -> list[Row]:
    """Return three rows: seconds, memory, arithmetic.

    Args:
        sides: what `take_steps` returns.
        max_difference: between the losses of the two sides.
    """
    note = same_losses(name, sides["ours"].results, sides["plain"].results, max_difference=max_difference)
    seconds = (sides["ours"].seconds, sides["plain"].seconds)
    return [
        compare_seconds(f"{name}: seconds of a step", *seconds, aim=aim, note=note),
        _memory_row(name, sides),
        _arithmetic_row(name, sides),
    ]


def take_steps(config: RunConfig, size: Size, *, plain: Steps | None = None) -> dict[str, Side]:
    """Run our step, the other side's and the matrix product, in the precision of ours, in alternating turns.

    Args:
        plain: the other side; None: the plain recipe.
    """
    dtype = torch.bfloat16 if config.training.bf16 else torch.float32
    with tempfile.TemporaryDirectory() as folder:
        return interleave(
            {
                "ours": partial(our_steps, config, size, folder),
                "plain": partial(plain or plain_steps, config, size, folder),
                "matrix": partial(matrix_products, size.matrix_size, dtype=dtype),
            },
            repetitions=size.repetitions,
        )


def _memory_row(method: str, sides: Mapping[str, Side]) -> Row:
    ours_bytes, plain_bytes = sides["ours"].memory.work_bytes, sides["plain"].memory.work_bytes
    ratio = plain_bytes / ours_bytes if ours_bytes and plain_bytes else None
    name = f"{method}: peak memory above the loaded model"
    return Row(name=name, ours=ours_bytes, plain=plain_bytes, unit="bytes", ratio=ratio)


def _arithmetic_row(method: str, sides: Mapping[str, Side]) -> Row:
    """Return the FLOP rates of both sides, with their shares of this machine's matrix product."""
    rates = {name: side.results[0]["flops"] / statistics.median(side.seconds) for name, side in sides.items()}
    share, plain_share = (100 * rates[name] / rates["matrix"] for name in ("ours", "plain"))
    note = f"{share:.0f} % and {plain_share:.0f} % of the matrix product's {rates['matrix'] / 1e9:,.0f} GFLOP/s"
    return Row(name=f"{method}: arithmetic", ours=rates["ours"], plain=rates["plain"], unit="FLOP/s", note=note)


def our_steps(config: RunConfig, size: Size, folder: str, turns: Turns) -> None:
    """Train a run of the study on batches of random tokens, one step per turn."""
    ours.train(config, rows_of(config, size), folder, turns, callback=CountFlops(turns))


def plain_steps(config: RunConfig, size: Size, folder: str, turns: Turns) -> None:
    """Train the stock model on the same batches, with labels and logits of every column."""
    recipes.make_trainer(
        recipes.random_model(load_architecture(config), config),
        [recipes.labeled(row) for row in ours.in_our_order(config, rows_of(config, size))],
        data_collator=recipes.pad_to(config.max_text_length, load_tokenizer(config)),
        callbacks=[CountFlops(turns)],
        **recipes.arguments_of(config, folder),
    ).train()


def matrix_products(
    size: int, turns: Turns, *, number: int = 10, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> None:
    """Multiply two square matrices several times per turn."""
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    while True:
        turns.begin()
        for _ in range(number):
            left @ right
        turns.end({"flops": number * 2 * size**3})


def step_run(method: str, size: Size, quick: bool) -> RunConfig:
    """Return a run of the study in this size."""
    return ours.gpt2_run(method, *settings_of(size), quick=quick)


def settings_of(size: Size) -> list[str]:
    """Return the overrides of a run in this size."""
    return [
        f"max_length={size.num_tokens}",
        "training.logging_steps=1",
        f"training.train_batch_size={size.batch_size}",
        "training.trunk_cache=false",  # measured separately
    ]


def rows_of(config: RunConfig, size: Size) -> list[dict[str, Any]]:
    """Return more batches than there are turns, so that the epoch does not end."""
    num_rows = (size.repetitions + 3) * size.batch_size
    return ours.random_rows(num_rows, length=config.max_text_length, num_completion_tokens=size.num_completion_tokens)


BENCHMARK = Benchmark(
    name="training_step",
    title="A training step of GPT-2 small",
    about=(
        "4 × 512 tokens of which 64 each are labeled, float32, forward, backward and update. Ours: the package's "
        "trainer. Plain recipe: stock model, peft and Trainer, labels and logits of every column. The same examples, "
        "the same losses."
    ),
    run=run,
)
