"""The cache of a frozen trunk's states: ten epochs with it, including the pass that fills it, and without it."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks import ours, recipes
from benchmarks.table import Benchmark, Row, same_losses
from benchmarks.turns import TakeTurns, Turns, interleave
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.loading import load_tokenizer

AIMS = {"last_layers": 2.0, "last_layer_head": 3.0}
NUM_LAYERS = {"last_layers": 1, "last_layer_head": 0}


@dataclass(frozen=True, kw_only=True)
class Size:
    """Epochs, examples per epoch (one batch), tokens per example, and how many of them are labeled."""

    epochs: int = 10
    batch_size: int = 8
    num_tokens: int = 512
    num_completion_tokens: int = 64


QUICK = Size(epochs=3, batch_size=4, num_tokens=48, num_completion_tokens=8)


def run(quick: bool) -> list[Row]:
    """Compare training of the head only, and of the head with the last block."""
    return [row for method in NUM_LAYERS for row in _compare(method, QUICK if quick else Size(), quick)]


def _compare(method: str, size: Size, quick: bool) -> list[Row]:
    """Compare the cached run with our own uncached one, and with the plain recipe."""
    config = _config(method, size, quick)
    uncached = replace(config, training=replace(config.training, trunk_cache=False))
    rows = ours.random_rows(size.batch_size, length=size.num_tokens, num_completion_tokens=size.num_completion_tokens)
    with tempfile.TemporaryDirectory() as folder:
        sides = interleave(
            {
                "cached": partial(our_epochs, config, rows, f"{folder}/cached"),
                "uncached": partial(our_epochs, uncached, rows, f"{folder}/uncached"),
                "plain": partial(plain_epochs, config, rows, folder),
            },
            repetitions=size.epochs,
            warmups=0,  # the first epoch is measured: it fills the cache
        )
    for other in ("uncached", "plain"):
        same_losses(f"{method}, cached and {other}", sides["cached"].results, sides[other].results)
    seconds = {name: side.seconds for name, side in sides.items()}
    name = f"num_layers: {NUM_LAYERS[method]}, {size.epochs} epochs, against"
    return [
        _total(f"{name} ours without cache", seconds["cached"], seconds["uncached"], aim=AIMS[method]),
        _total(f"{name} the plain recipe", seconds["cached"], seconds["plain"]),
    ]


def _total(name: str, cached: Sequence[float], other: Sequence[float], *, aim: float | None = None) -> Row:
    """Compare all epochs together; the seconds of single epochs differ too much for one median."""
    ratio = sum(other) / sum(cached)
    ratios = [o / c for o, c in zip(other[1:], cached[1:], strict=True)]
    return Row(
        name=name,
        ours=sum(cached),
        plain=sum(other),
        ratio=ratio,
        aim=f"≥ {aim:g}" if aim else "",
        met=aim is not None and ratio >= aim,
        note=(
            f"epochs: first {cached[0]:.3g} s, later {statistics.median(cached[1:]):.3g} s against "
            f"{statistics.median(other):.3g} s; ratio of the later {min(ratios):.1f} to {max(ratios):.1f}"
        ),
    )


def our_epochs(config: RunConfig, rows: Sequence[dict[str, Any]], folder: str, turns: Turns) -> None:
    """Train the last layers, one epoch per turn."""
    ours.train(config, rows, folder, turns, callback=TakeTurns(turns, steps=None), from_the_start=True)


def plain_epochs(config: RunConfig, rows: Sequence[dict[str, Any]], folder: str, turns: Turns) -> None:
    """Train the same layers of the stock model with the stock Trainer."""
    model = recipes.random_model(load_architecture(config), config)
    collator = recipes.pad_to(config.max_text_length, load_tokenizer(config))
    turns.begin()
    recipes.make_trainer(
        model,
        [recipes.labeled(row) for row in rows],
        data_collator=collator,
        callbacks=[TakeTurns(turns, steps=None)],
        **recipes.arguments_of(config, folder),
    ).train()


def _config(method: str, size: Size, quick: bool) -> RunConfig:
    settings = (
        f"max_length={size.num_tokens}",
        f"training.num_train_epochs={size.epochs + 1}",  # the turns end before training does
        f"training.train_batch_size={size.batch_size}",
        "training.logging_steps=1",
        "training.eval_strategy=steps",  # nothing is evaluated or saved in between
        "training.eval_steps=1000",
        "training.trunk_cache=true",
    )
    return ours.gpt2_run(method, *settings, quick=quick)


BENCHMARK = Benchmark(
    name="trunk_cache",
    title="Cached states of a frozen trunk",
    about=(
        "Last layers of GPT-2 small on 8 × 512 tokens of which 64 each are labeled, 10 epochs; a turn is an epoch, "
        "and the first includes everything before it, such as filling the cache. The same losses on all sides."
    ),
    run=run,
    sides=("with cache", "without"),
)
