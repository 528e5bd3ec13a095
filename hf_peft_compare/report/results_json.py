"""results.json: rows with intervals, pairs and the verdict, raw units, nothing rounded; what is unknown is null."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from hf_peft_compare.comparison import Comparison, MethodRow
from hf_peft_compare.comparison.verdict import describe_verdict


def render_json(comparison: Comparison) -> str:
    """Return the whole comparison as JSON for programs."""
    return json.dumps(finite(as_tree(comparison)), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def as_tree(comparison: Comparison) -> dict[str, object]:
    """Return the whole comparison as dictionaries and lists."""
    return {
        "ranking_score": comparison.ranking_score,
        "best_row": comparison.best_row,
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


def finite(tree: object) -> Any:
    """Return a tree with non-finite numbers replaced by None, at any depth, and without lone surrogates."""
    if isinstance(tree, dict):
        return {finite(key): finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [finite(value) for value in tree]
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else None
    return tree.encode("utf-8", "replace").decode() if isinstance(tree, str) else tree
