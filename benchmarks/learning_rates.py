"""What `tune: auto` loses against a full search: each row at the rate it finds, and at eight rates in full trainings.

The encoder of the tweets is a folder in HF_PEFT_COMPARE_ENCODER, or else it comes from the Hub. `--runs` names a folder
that keeps the runs: an interrupted benchmark goes on there, and a finished one only prints its table.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.short_texts import DATA_VARIABLE
from benchmarks.table import Benchmark, Row, Skipped
from hf_peft_compare.api import make_study, run_study
from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.records.record import RunRecord, read_records

ENCODER_VARIABLE = "HF_PEFT_COMPARE_ENCODER"
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
RUNS_VARIABLE = "HF_PEFT_COMPARE_BENCHMARK_RUNS"  # set by `--runs`
LOWEST_RATES = {"prompt_tuning": 1e-3, "last_layers": 1e-4, "lora": 1e-4, "full": 2e-5}
NUM_RATES, RATES_PER_MAGNITUDE = 8, 3
AIM = 0.98  # of the best loss over that of `tune: auto`: at most 2 % worse
TIE = 0.01  # rows whose losses differ by less have no order
LORA = {"target_modules": "all-linear", "r": 8, "lora_alpha": 32}
FORM = (
    "Form: [goods] [site] in [place]. [last]: [number] [unit] on [day]. [person], [role], says [number] [unit] in "
    "[place]."
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Data, base and protocol of the two studies of a task.

    Args:
        settings: keys of a study file, beside name, rows and tuning.
        rows: {row: its settings}, a key of LOWEST_RATES each.
        num_rates: full trainings per row.
    """

    settings: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"prompt_tuning": {}, "last_layers": {}, "lora": LORA, "full": {}}
    )
    num_rates: int = NUM_RATES


@dataclass(frozen=True, kw_only=True)
class Found:
    """A row with the rate of `tune: auto`, and the best of its runs in the grid."""

    row: str
    auto: RunRecord
    grid: Sequence[RunRecord]

    @property
    def best(self) -> RunRecord:
        """The run of the grid with the lowest validation loss."""
        return min(self.grid, key=_loss)

    @property
    def losses(self) -> tuple[float, float]:
        """The validation losses at the rate found, and at the best of the grid."""
        return _loss(self.auto), _loss(self.best)

    @property
    def ratio(self) -> float:
        """The loss at the best rate of the grid over that at the rate found; above 1, the latter is better."""
        return self.losses[1] / self.losses[0]


def tasks(data: Path) -> dict[str, Task]:
    """Return the tasks: labels of real tweets, digests of made-up stories, highlights of real news."""
    training = {"train_batch_size": 8, "eval_batch_size": 64, "early_stopping_patience": None}
    stories = {"num_virtual_tokens": 20, "prompt_tuning_init": "TEXT", "prompt_tuning_init_text": FORM}
    summaries: dict[str, Any] = {
        "num_train_samples": 480,
        "num_validation_samples": 100,
        "num_test_samples": 2,
        "max_length": 256,
        "training": {**training, "num_train_epochs": 2},
    }
    return {
        "tweets": Task(
            settings={
                "task": {"name": "sequence_classification", "labels": ["negative", "neutral", "positive"]},
                "dataset": str(data / "data/tweeteval_sentiment"),
                "num_train_samples": 640,
                "num_validation_samples": 300,
                "num_test_samples": 32,
                "model_name_or_path": os.environ.get(ENCODER_VARIABLE, ENCODER),
                "max_length": 64,
                "training": {**training, "num_train_epochs": 3},
            }
        ),
        "stories": Task(
            settings={
                **summaries,
                "task": {"name": "summarization", "prompt_suffix": "\n\nTL;DR:"},
                "dataset": "embedded",
                "model_name_or_path": "embedded",
                "generation": {"max_new_tokens": 48},
            },
            rows={"prompt_tuning": stories, "last_layers": {}, "lora": LORA, "full": {}},
        ),
        "news": Task(
            settings={
                **summaries,
                "task": {"name": "summarization"},
                "dataset": str(data / "data/cnn_dailymail"),
                "model_name_or_path": str(data / "checkpoints/tinystories-656k"),
                "max_dropped_share": 0.5,
                "generation": {"max_new_tokens": 64},
            }
        ),
    }


QUICK = Task(
    settings={
        "task": {"name": "summarization"},
        "dataset": "embedded",
        "model_name_or_path": "embedded",
        "num_train_samples": 16,
        "num_validation_samples": 4,
        "num_test_samples": 2,
        "max_length": 256,
        "generation": {"max_new_tokens": 4},
        "training": {"num_train_epochs": 1},
    },
    rows={"last_layers": {}, "full": {}},
    num_rates=2,
)


def run(quick: bool) -> list[Row]:
    """Return the losses of every row of every task at the rate that `tune: auto` finds and at the best of its grid.

    Raises:
        Skipped: there is no folder with the tasks' real data.
    """
    data = os.environ.get(DATA_VARIABLE)
    if not quick and not data:
        raise Skipped(f"{DATA_VARIABLE} is not set: no folder with real tweets and news")
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(os.environ.get(RUNS_VARIABLE) or folder)
        chosen = {"stories": QUICK} if quick else tasks(Path(data or ""))
        return rows_of({name: measure(name, task, runs) for name, task in chosen.items()})


def measure(name: str, task: Task, runs: Path) -> list[Found]:
    """Run both studies of a task in a folder, where finished runs are kept, and return what was found for each row.

    Raises:
        RunFailed: a row has no run at the rate that was found, or none in the grid.
    """
    for study in (f"{name}_grid", f"{name}_auto"):
        _run(study, task, runs)
    return read(name, task, runs)


def read(name: str, task: Task, runs: Path) -> list[Found]:
    """Return what both studies of a task have found for each row; raise RunFailed as `measure` does."""
    auto, grid = (_trained(runs / f"{name}_{kind}") for kind in ("auto", "grid"))
    found = {row: [one for one in grid if one.config["row"].startswith(f"{row}-")] for row in task.rows}
    at = {one.config["row"]: one for one in auto}
    if missing := [row for row in task.rows if row not in at or not found[row]]:
        raise RunFailed(f"{name}: no finished run of {', '.join(missing)}; their logs are in {runs}.")
    return [Found(row=row, auto=at[row], grid=found[row]) for row in task.rows]


def _run(study: str, task: Task, runs: Path) -> None:
    settings = dict(task.settings)
    searched = study.endswith("_grid")
    methods = {
        row: {**own, **({"grid": {"training.learning_rate": rates(row, task.num_rates)}} if searched else {})}
        for row, own in task.rows.items()
    }
    run_study(
        make_study(
            settings.pop("model_name_or_path"),
            settings.pop("dataset"),
            settings.pop("task"),
            methods,
            seeds=[0],
            tune=None if searched else "auto",
            training=settings.pop("training"),
            output_dir=runs / study,
            settings={**settings, "costs": False},
        ),
        output_dir=runs,
    )


def rates(row: str, number: int) -> list[float]:
    """Return a row's rates: three in an order of magnitude, from the lowest."""
    return [float(f"{LOWEST_RATES[row] * 10 ** (k / RATES_PER_MAGNITUDE):.2g}") for k in range(number)]


def _trained(study: Path) -> list[RunRecord]:
    return [record for record in read_records(study).values() if record.validation is not None and not record.error]


def _loss(record: RunRecord) -> float:
    """Return a run's lowest validation loss; infinite: it diverged."""
    found = record.validation.best_loss if record.validation else math.nan
    return found if math.isfinite(found) else math.inf


def rows_of(found: Mapping[str, Sequence[Found]]) -> list[Row]:
    """Return the lines of the table: each row of each task, the order of its rows, and the median over all."""
    lines = []
    for task, rows in found.items():
        lines += [_line(task, one) for one in rows]
        lines.append(_order(task, rows))
    ratios = [one.ratio for rows in found.values() for one in rows]
    median = statistics.median(ratios)
    note = f"{worse(median)}; the worst {worse(min(ratios))}"
    name = f"median of {len(ratios)} rows"
    return [*lines, Row(name=name, ours=None, ratio=median, aim=f"≥ {AIM:g}", met=median >= AIM, note=note)]


def _line(task: str, found: Found) -> Row:
    auto, tuning, best = found.auto, found.auto.tuning, _rate(found.best)
    edge = " (edge of the grid)" if best in (min(tried := [_rate(one) for one in found.grid]), max(tried)) else ""
    note = f"{worse(found.ratio)}; rate {_rate(auto):g} against {best:g}{edge}"
    if tuning is not None and auto.plan is not None and auto.plan.num_train_steps:
        steps = sum(trial.steps or 0 for trial in tuning.trials) / auto.plan.num_train_steps
        note += f"; tuning {steps:.1f} × the steps and {tuning.seconds / auto.seconds.total:.1f} × the time of training"
    ours, plain = found.losses
    return Row(name=f"{task}: {found.row}", ours=ours, plain=plain, unit="loss", ratio=found.ratio, note=note)


def _order(task: str, rows: Sequence[Found]) -> Row:
    """Return whether both sides order a task's rows alike."""
    auto = " < ".join(one.row for one in sorted(rows, key=lambda one: one.losses[0]))
    best = " < ".join(one.row for one in sorted(rows, key=lambda one: one.losses[1]))
    note = f"found {auto}; grid {best}"
    return Row(name=f"{task}: order of rows", ours=None, aim="the same", met=same_order(rows), note=note)


def same_order(rows: Sequence[Found]) -> bool:
    """Return whether no two rows are clearly in one order at the rates found, and in the other at the grid's best."""
    return all(math.prod(map(_order_of, a.losses, b.losses)) >= 0 for a, b in combinations(rows, 2))


def _order_of(a: float, b: float) -> int:
    """Return -1: the first loss is the lower one, 1: it is the higher one, or 0: a tie."""
    return 0 if abs(a - b) <= TIE * min(a, b) else int(math.copysign(1, a - b))


def _rate(record: RunRecord) -> float:
    return float(record.config["training"]["learning_rate"])


def worse(ratio: float) -> str:
    """Return in words how much higher a loss is than the one that it is compared with."""
    percent = 100 * (1 / ratio - 1)
    return f"{abs(percent):.1f} % {'worse' if percent > 0 else 'better'}"


BENCHMARK = Benchmark(
    name="learning_rates",
    title="The rates that `tune: auto` finds",
    about=(
        "Validation loss of a row that is trained at the rate found, and at the best of eight rates, a third of an "
        "order of magnitude apart; one seed. A ratio above 1: the rate found is the better one. Rows within 1 % have "
        "no order. Tweets: MiniLM (6 blocks of width 384), 640 × 3 epochs, 240 steps. Stories: the quickstart and "
        "its base, 480 × 2 epochs, 120 steps. News: CNN/DailyMail cut to 256 tokens, a Llama of 656,000 parameters "
        "that has read children's stories, 480 × 2 epochs, 120 steps."
    ),
    run=run,
    sides=("tune: auto", "best of eight"),
)
