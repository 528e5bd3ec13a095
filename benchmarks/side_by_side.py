"""Runs side by side, on a share of the CPU cores each, against one after the other on all of them."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.ours import VOCABULARY_SIZE
from benchmarks.table import Benchmark, Row, compare_seconds
from hf_peft_compare.api import run_study
from hf_peft_compare.config.study import Study
from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.orchestration.slots import SMALL_STEP, count_cores
from hf_peft_compare.quickstart import BASE_FOLDER
from hf_peft_compare.results.result import Result

REPETITIONS = 2
SIZES: dict[str, tuple[dict[str, int], int]] = {  # with random weights, since time depends on sizes alone
    "the quickstart's size": ({"n_embd": 128, "n_layer": 4, "n_head": 4}, 400),
    "MiniLM's size": ({"n_embd": 384, "n_layer": 6, "n_head": 12}, 80),
    "GPT-2 small's size": ({"n_embd": 768, "n_layer": 12, "n_head": 12}, 16),
}


def run(quick: bool) -> list[Row]:
    """Compare a seed of LoRA per core at once with one after the other, in alternating turns."""
    return compare_sizes(number=count_cores(), quick=quick)


def compare_sizes(*, number: int, quick: bool) -> list[Row]:
    """Compare so many seeds of LoRA at once with one after the other, for bases of three sizes."""
    sizes = list(SIZES.items())[: 1 if quick else None]
    return [_compare(name, *size, number=number, quick=quick) for name, size in sizes]


def _compare(name: str, architecture: Mapping[str, int], num_train: int, *, number: int, quick: bool) -> Row:
    seconds: dict[int, list[float]] = {1: [], number: []}
    flops = 0.0
    for _ in range(1 if quick else REPETITIONS):
        for max_parallel, of_turns in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                result = _runs(architecture, 16 if quick else num_train, number, max_parallel, Path(folder))
                of_turns.append(time.perf_counter() - start)
            flops = _step_flops(result)
    note = f"{number} runs; {flops / 1e9:,.1f} GFLOP per step"
    return compare_seconds(f"LoRA on a base of {name}", seconds[number], seconds[1], note=note)


def _runs(architecture: Mapping[str, int], num_train: int, number: int, max_parallel: int, folder: Path) -> Result:
    study = Study.from_dict(
        {
            "name": "side-by-side",
            "title": "Side by side",
            "task": {"name": "summarization"},
            "dataset": "embedded",
            "num_train_samples": num_train,
            "num_validation_samples": 8,
            "num_test_samples": 4,
            "init": "config",
            "model_name_or_path": "gpt2",
            "architecture": {"model_type": "gpt2", "vocab_size": VOCABULARY_SIZE, **architecture},
            "tokenizer_name_or_path": str(BASE_FOLDER),
            "max_length": 256,
            "methods": {"lora": {"training": {"learning_rate": 1e-3}}},
            "seeds": list(range(number)),
            "costs": False,
            "training": {"num_train_epochs": 1},
            "generation": {"max_new_tokens": 16},
        }
    )
    with contextlib.redirect_stdout(io.StringIO()):
        result = run_study(study, output_dir=folder, max_parallel=max_parallel)
    if set(result.outcomes.values()) != {"finished"}:
        raise RunFailed(f"runs with max_parallel={max_parallel} ended as {result.outcomes}")
    return result


def _step_flops(result: Result) -> float:
    plan = next(iter(result.records.values())).plan
    assert plan is not None and plan.num_train_steps
    return (plan.flops["train"] or 0.0) / plan.num_train_steps


BENCHMARK = Benchmark(
    name="side_by_side",
    title="Runs side by side",
    about=(
        "A whole study of one LoRA run per CPU core, from its check to its last record, on the quickstart's stories. "
        "Ours: `--max-parallel` with a core each. Plain recipe: one run after the other on all cores. `auto` runs "
        f"side by side up to {SMALL_STEP / 1e9:g} GFLOP per step."
    ),
    run=run,
)
