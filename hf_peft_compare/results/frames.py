"""A comparison as data frames: raw units, nothing rounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_peft_compare.comparison import Comparison
from hf_peft_compare.comparison.example_scores import Predictions

if TYPE_CHECKING:
    from pandas import DataFrame


def rows_frame(comparison: Comparison) -> DataFrame:
    """Return one line per row of the study: means over seeds, with the bounds of scores that have intervals."""
    from pandas import DataFrame

    lines = []
    for row in comparison.rows:
        line: dict[str, Any] = {"row": row.row, "title": row.label, "status": row.status}
        line["num_seeds"] = len(row.finished_runs)
        for key, value in row.figures.items():
            line[key] = value
            if (interval := row.intervals.get(key)) is not None:
                line |= {f"{key}_low": interval.low, f"{key}_high": interval.high}
        lines.append(line)
    return DataFrame(lines).set_index("row")


def runs_frame(comparison: Comparison) -> DataFrame:
    """Return one line per run, with every figure of its record."""
    from pandas import DataFrame

    identity = ("row", "seed", "status", "error")
    lines = [{**{key: getattr(run, key) for key in identity}, **run.figures} for run in comparison.runs]
    return DataFrame(lines).set_index(["row", "seed"])


def examples_frame(comparison: Comparison, predictions: Mapping[str, Predictions]) -> DataFrame:
    """Return one line per run and test example: prediction, reference and scores."""
    from pandas import DataFrame

    lines = []
    for run in comparison.runs:
        for found in predictions.get(run.run, ()):
            rest = {key: value for key, value in found.items() if key != "scores"}
            lines.append({"row": run.row, "seed": run.seed, **rest, **found.get("scores", {})})
    return DataFrame(lines, columns=None if lines else ["row", "seed", "id", "prediction", "reference"])


def differences_frame(comparison: Comparison) -> DataFrame:
    """Return one line per pair of rows: the difference of the ranking score, its interval and its tests."""
    from pandas import DataFrame

    figures = ("mean", "p_value", "adjusted_p_value", "effect_size", "improvement", "detectable")
    lines = [
        {
            "row": pair.row,
            "other": pair.other,
            **{key: getattr(pair, key) for key in figures},
            "low": pair.interval.low,
            "high": pair.interval.high,
            "num_examples": pair.interval.num_examples,
            "remark": pair.interval.reason,
        }
        for pair in comparison.pairs
    ]
    columns = ["row", "other", "mean", "low", "high", *figures[1:], "num_examples", "remark"]
    return DataFrame(lines, columns=columns).set_index(["row", "other"])
