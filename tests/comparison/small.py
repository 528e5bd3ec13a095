"""Records and predictions of small studies whose numbers are worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import run_name

SCORES = {
    "f": {"title": "F", "unit": "ratio", "greater_is_better": True},
    "test_loss": {"title": "Test loss", "unit": "nats per token", "greater_is_better": False},
}


def record(row: str, values: Sequence[float], *, seed: int = 0, trainable: int = 10, **changes: Any) -> RunRecord:
    """Return a finished record with these scores per example."""
    fields: dict[str, Any] = {
        "status": "finished",
        "error": None,
        "study": "s",
        "row": row,
        "method": row,
        "seed": seed,
        "config": {},
        "config_origins": {},
        "config_hash": "h",
        "card": {"title": row.upper()},
        "scores": SCORES,
        "parameters": {"trainable_params": trainable, "total_params": 1000},
        "results": {"f": float(np.mean(values)), "test_loss": 2.0},
        "seconds": {"train": 100.0 * (1 + seed), "evaluation": 5.0},
        "memory": {"train_peak_allocated_bytes": 3_000_000, "resident_peak_bytes": 9_000_000},
    }
    return RunRecord(**{**fields, **changes})


def lines(values: Sequence[float]) -> list[dict[str, Any]]:
    """Return the per-example lines of a run, whose test loss is 2."""
    return [
        {
            "id": str(place),
            "scores": {"f": value},
            "nll": 2.0 * (2 + place) + (place + 0.5) / len(values) - 0.5,
            "num_tokens": 2 + place,
        }
        for place, value in enumerate(values)
    ]


def compared(
    by_run: Mapping[str, Sequence[float]],
    *,
    expected: list[tuple[str, int]] | None = None,
    smallest_difference: float | None = None,
    **changes: Any,
) -> Comparison:
    """Compare runs given as {run name: scores per example}; `changes` are fields of all records."""
    runs = {name: (name.split("-seed")[0], int(name.split("-seed")[1])) for name in by_run}
    records = {name: record(row, by_run[name], seed=seed, **changes) for name, (row, seed) in runs.items()}
    predictions = {name: lines(values) for name, values in by_run.items()}
    return compare(
        records,
        predictions,
        expected_runs=expected or list(runs.values()),
        smallest_difference=smallest_difference,
    )


def drawn(
    means: Mapping[str, float],
    *,
    num_seeds: int = 1,
    num_examples: int = 200,
    spread: float = 0.1,
    seed_spread: float = 0,
) -> dict[str, list[float]]:
    """Draw scores per example of every run, {run name: scores}; rows share how hard an example is."""
    rng = np.random.default_rng(5)
    hard = rng.normal(scale=spread, size=num_examples)
    found = {}
    for row, mean in means.items():
        for seed in range(num_seeds):
            noise = rng.normal(scale=spread, size=num_examples) + rng.normal(scale=seed_spread)
            found[run_name(row=row, seed=seed)] = (mean + hard + noise).tolist()
    return found
