"""results.json: rows with intervals, pairs and the verdict, raw units, nothing rounded; what is unknown is null."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hf_peft_compare.comparison import Comparison, MethodRow
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.utils.json_text import json_text


def render_json(comparison: Comparison) -> str:
    """Return the whole comparison as JSON for programs."""
    return json_text(as_tree(comparison)) + "\n"


def as_tree(comparison: Comparison) -> dict[str, object]:
    """Return the whole comparison as dictionaries and lists."""
    return {
        "ranking_score": comparison.ranking_score,
        "best_row": comparison.best_row,
        "best_set": list(comparison.best_set),
        "scores": {name: score.as_json() for name, score in comparison.scores.items()},
        "verdict": describe_verdict(comparison),
        "rows": [_row(row) for row in comparison.rows],
        "pairs": [asdict(pair) for pair in comparison.pairs],
    }


def _row(row: MethodRow) -> dict[str, Any]:
    return {
        "row": row.row,
        "label": row.label,
        "status": row.status,
        "floor": row.floor,
        "figures": row.figures,
        "spreads": row.spreads,
        "intervals": {score: asdict(interval) for score, interval in row.intervals.items()},
        "runs": [
            {"seed": run.seed, "status": run.status, "error": run.error, "figures": run.figures} for run in row.runs
        ],
    }
