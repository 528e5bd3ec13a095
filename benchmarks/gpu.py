"""Study 1 at its real size on this machine's GPU: tokens per second, use of the card, memory, time of its whole table.

GPT-2 small with random weights from its config, the study's own batch, length, methods and dropout; random tokens, of
which the last 64 of each example are labeled. Run it as `python -m benchmarks.gpu`; `--device cpu --quick` checks its
code where there is no GPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import ours, recipes, side_by_side
from benchmarks.place import Place, Size
from benchmarks.table import Row, compare_seconds, format_amount, head, markdown
from benchmarks.training_step import METHODS, CountFlops, matrix_products
from benchmarks.turns import Side, TakeTurns, Turns
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import BAD_INPUT, FAILED, OK, RunFailed, UserError
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.orchestration.slots import count_cores
from hf_peft_compare.training.arguments import use_bf16
from hf_peft_compare.training.factory import build
from hf_peft_compare.utils.markdown import table

TABLE = ("prompt_tuning", "last_layers", "lora")  # the three methods of the study's table
NUM_TRAIN, NUM_EPOCHS, NUM_TEST = 21_000, 10, 3_000
WATCHED_STEPS = 3
NUM_SIDE_BY_SIDE = 8
SWITCHES = {  # options that may be faster, or smaller, on a GPU: settings on, settings off
    "bf16": (["training.bf16=true"], ["training.bf16=false"]),
    "QLoRA, 4 bits": (["methods.lora.method=qlora"], []),
    "torch.compile": (["training.torch_compile=true"], ["training.torch_compile=false"]),
    "packing": (["training.packing=true"], ["training.packing=false"]),
    "packing, flex_attention": (
        ["training.packing=true", "attn_implementation=flex_attention"],
        ["training.packing=false"],
    ),
}
GPU_ONLY = ("packing, flex_attention",)


class WatchHost(CountFlops):
    """Take turns of some steps; during warm-up, count the FLOPs of one step and the host's waits in others."""

    def __init__(self, turns: Turns, *, steps: int):
        super().__init__(turns, steps=steps)
        self.watch = warnings.catch_warnings(record=True)
        self.waits: list[warnings.WarningMessage] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Watch a few whole steps, from the end of the first."""
        if torch.cuda.is_available() and state.global_step in (1, 1 + WATCHED_STEPS):
            self._watch(state.global_step == 1)
        waits = [w for w in self.waits if "synchroniz" in str(w.message)]
        self.result["waits"] = sorted({f"{Path(w.filename).name}:{w.lineno}" for w in waits})
        self.result["num_waits"] = len(waits) / WATCHED_STEPS
        super().on_step_end(args, state, control, **kwargs)

    def _watch(self, on: bool) -> None:
        if on:
            self.waits = self.watch.__enter__()
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
        else:
            torch.cuda.set_sync_debug_mode("default")
            self.watch.__exit__(None, None, None)


def main() -> int:
    """Measure and print; return the exit status: 0 done, 1 a side failed, 2 invalid input."""
    options = _parser().parse_args()
    try:
        if options.device == "cuda" and not torch.cuda.is_available():
            raise UserError("found no CUDA device; to check the code without one, use --device cpu --quick")
        if options.device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        text = head(" ".join(["python -m benchmarks.gpu", *sys.argv[1:]]))
        print(text)
        for part in _parts(Place(device=options.device, quick=options.quick)):
            print(part, flush=True)
            text += f"\n{part}"
            if options.output is not None:
                options.output.write_text(text, encoding="utf-8")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes: a check of the code, not of speed")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the tables to FILE")
    return parser


def _parts(place: Place) -> Iterable[str]:
    """Measure and yield one table after the other."""
    methods = TABLE if place.quick else METHODS
    trained = {row: train_beside_recipe(place, row) for row in methods}
    yield f"## Training\n\n{training_table(place, trained)}\n"
    generated = {row: generate_both_ways(place, row) for row in methods}
    both = markdown(list(generated.values()), sides=("static cache", "dynamic cache"))
    yield f"## Generation\n\n{both}\n"
    yield f"## The whole table\n\n{projection(place, trained, generated)}\n"
    rows = [switch(place, name) for name in SWITCHES if place.device == "cuda" or name not in GPU_ONLY]
    yield f"## Switches, with LoRA\n\n{markdown(rows, sides=('on', 'off'))}\n"
    beside = side_by_side.compare_sizes(
        number=NUM_SIDE_BY_SIDE if place.device == "cuda" else count_cores(), quick=place.quick
    )
    sides = ("side by side", "one after the other")
    yield f"## Runs side by side on one device\n\n{markdown(beside, sides=sides)}\n"


def train_beside_recipe(place: Place, row: str) -> dict[str, Side]:
    """Run a method, its plain recipe and the matrix product in alternating turns."""
    config, size = place.run(row), place.size
    dtype = torch.bfloat16 if use_bf16(config) else torch.float32
    products = partial(matrix_products, size.matrix_size, number=size.num_products, dtype=dtype, device=place.device)
    rows = random_examples(config, size, size.num_tokens)
    with tempfile.TemporaryDirectory() as folder:
        return place.interleave(
            {
                "ours": partial(our_steps, config, rows, size.steps, folder, WatchHost),
                "plain": partial(plain_steps, config, rows, size.steps, folder),
                "matrix": products,
            }
        )


def random_examples(config: RunConfig, size: Size, min_num_tokens: int) -> list[dict[str, Any]]:
    """Return examples of all lengths from the shortest to the longest that fits, enough for all turns."""
    longest, num_completion_tokens = config.max_text_length, size.num_completion_tokens
    number = config.training.train_batch_size * size.steps * (size.repetitions + 2)
    lengths = range(min(min_num_tokens, longest), longest + 1)
    return [
        ours.random_rows(1, length=lengths[i % len(lengths)], num_completion_tokens=num_completion_tokens, seed=i)[0]
        for i in range(number)
    ]


def our_steps(
    config: RunConfig, rows: list[dict[str, Any]], steps: int, folder: str, taker: type[TakeTurns], turns: Turns
) -> None:
    """Train a run of the study, some steps per turn."""
    ours.train(config, rows, folder, turns, callback=taker(turns, steps=steps))


def plain_steps(config: RunConfig, rows: list[dict[str, Any]], steps: int, folder: str, turns: Turns) -> None:
    """Train the stock model with stock peft and Trainer, in the same precision."""
    recipes.make_trainer(
        recipes.random_model(load_architecture(config), config),
        [recipes.labeled(row) for row in rows],
        data_collator=recipes.pad_to(config.max_text_length, load_tokenizer(config)),
        callbacks=[TakeTurns(turns, steps=steps)],
        bf16=use_bf16(config),
        **recipes.arguments_of(config, folder),
    ).train()


def training_table(place: Place, trained: Mapping[str, Mapping[str, Side]]) -> str:
    """Return a table of each method's speed, GPU utilization, memory and host synchronizations."""
    header = ["", "tokens/s", "of the matrix rate", "a step", "against plain recipe", "peak memory", "plain recipe's"]
    return table([*header, "waits of the host per step"], [_training_line(place, row, trained[row]) for row in trained])


def _training_line(place: Place, row: str, sides: Mapping[str, Side]) -> list[str]:
    mine, seconds = sides["ours"], step_seconds(place, sides["ours"])
    config, warm_up = place.run(row), sides["ours"].results[0]
    matrix_rate = sides["matrix"].results[0]["flops"] / statistics.median(sides["matrix"].seconds)
    num_tokens = config.training.train_batch_size * config.max_length  # virtual tokens are computed as well
    compared = compare_seconds(row, mine.seconds, sides["plain"].seconds)
    return [
        row,
        f"{num_tokens / seconds:,.0f}",
        f"{100 * warm_up['flops'] / seconds / matrix_rate:.0f} % of {format_amount(matrix_rate, 'FLOP/s')}",
        format_amount(seconds, "s"),
        f"**{compared.ratio:.2f}** ({' to '.join(f'{ratio:.2f}' for ratio in compared.spread or ())})",
        *(format_amount(sides[name].memory.peak_bytes, "bytes") for name in ("ours", "plain")),
        f"{warm_up['num_waits']:g} {', '.join(warm_up['waits'])}" if place.device == "cuda" else "–",
    ]


def step_seconds(place: Place, side: Side) -> float:
    """Return the median seconds of a step."""
    return statistics.median(side.seconds) / place.size.steps


def generate_both_ways(place: Place, row: str) -> Row:
    """Compare a batch of summaries with a static cache of keys and values and with a dynamic one."""
    sides = {
        name: partial(batch_of_summaries, place.run(row, f"generation.cache_implementation={name}"), place.size)
        for name in ("static", "dynamic")
    }
    done = place.interleave(sides, warmups=2)  # a static cache triggers compilation
    name = f"{row}: {place.size.num_prompts} summaries of {place.size.num_new_tokens} tokens"
    return compare_seconds(name, done["static"].seconds, done["dynamic"].seconds)


def batch_of_summaries(config: RunConfig, size: Size, turns: Turns) -> None:
    """Generate one batch of summaries of the longest texts per turn, like a run's evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        built = build(config, output_dir=Path(folder))
    model = built.model.to(built.arguments.device)
    texts = ours.random_rows(size.num_prompts, length=config.max_prompt_length, num_completion_tokens=0)
    prompts = [text["input_ids"] for text in texts]
    while True:
        turns.begin()
        generate_tokens(model, built.tokenizer, prompts, generation=config.generation, batch_size=size.num_prompts)
        turns.end()


def projection(place: Place, trained: Mapping[str, Mapping[str, Side]], generated: Mapping[str, Row]) -> str:
    """Extrapolate the measured seconds to the study's table, without early stopping."""
    lines, total = [], 0.0
    for row in TABLE:
        steps = NUM_TRAIN * NUM_EPOCHS / place.run(row).training.train_batch_size
        training = steps * step_seconds(place, trained[row]["ours"])
        summaries = NUM_TEST / place.size.num_prompts * (generated[row].plain or 0.0)
        total += training + summaries
        lines.append([row, _hours(training), _hours(summaries), _hours(training + summaries)])
    header = ["", f"{NUM_TRAIN:,} × {NUM_EPOCHS} epochs", f"{NUM_TEST:,} summaries", "together"]
    return table(header, [*lines, ["all", "", "", _hours(total)]])


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h"


def switch(place: Place, name: str) -> Row:
    """Compare LoRA with a setting on and off; with examples of many lengths if packing is measured."""
    size = place.size
    shortest = size.min_num_tokens if "packing" in name else size.num_tokens
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for side, settings in zip(("on", "off"), SWITCHES[name], strict=True):
            if place.quick and settings == SWITCHES["torch.compile"][0]:
                settings = [*settings, "training.torch_compile_backend=eager"]  # works without a compiler
            config = place.run("lora", *settings)
            rows = random_examples(config, size, shortest)
            sides[side] = partial(our_steps, config, rows, size.steps, f"{folder}/{side}", TakeTurns)
        done = place.interleave(sides)
    memory = " and ".join(format_amount(done[side].memory.peak_bytes, "bytes") for side in ("on", "off"))
    return compare_seconds(name, done["on"].seconds, done["off"].seconds, note=f"peak memory {memory}")


if __name__ == "__main__":
    sys.exit(main())
