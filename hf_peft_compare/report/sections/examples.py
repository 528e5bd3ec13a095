"""Test examples with every row's answer side by side, chosen by a fixed rule and not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_peft_compare.comparison.examples import example_values
from hf_peft_compare.comparison.formatting import format_score
from hf_peft_compare.report.blocks import Answer, Block, Example, Material, Paragraph, Section

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def render_examples(material: Material) -> list[Block]:
    """Show one example at each of five levels of difficulty."""
    lines = _lines_by_row(material)
    score = material.comparison.ranking_score
    if score is None or not lines:
        return []
    chosen = choose_examples(
        {
            row: {key: value[0] for key, value in example_values(list(by_id.values()), score).items()}
            for row, by_id in lines.items()
        }
    )
    title = str(material.comparison.scores[score].get("title") or score)
    rule = (
        f"Examples are chosen by rule: those at the 5, 25, 50, 75 and 95 % points of the mean {title} over all rows, "
        "the hardest first."
    )
    return [Paragraph(text=rule, muted=True), *(_example(material, lines, key, title) for key in chosen)]


def choose_examples(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Give the ids at fixed quantiles of the mean score over rows, among the examples that all rows have."""
    shared = [key for key in next(iter(scores.values()), {}) if all(key in row for row in scores.values())]
    ranked = sorted(shared, key=lambda key: (sum(row[key] for row in scores.values()), key))
    return list(dict.fromkeys(ranked[round(quantile * (len(ranked) - 1))] for quantile in QUANTILES)) if ranked else []


def _lines_by_row(material: Material) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Give {row: {example id: line}} of the first finished run of every row that left predictions."""
    found = {}
    for row in material.comparison.finished_rows:
        lines = material.predictions.get(row.finished_runs[0].run, ())
        if lines:
            found[row.row] = {str(line["id"]): line for line in lines}
    return found


def _example(material: Material, lines: Mapping[str, Mapping[str, Mapping[str, Any]]], key: str, title: str) -> Example:
    score = str(material.comparison.ranking_score)
    answers = [
        Answer(
            label=row.label,
            text=str(lines[row.row][key].get("prediction", "")),
            score=f"{title} {format_score(lines[row.row][key].get('scores', {}).get(score))}",
            accent=material.colours[row.row],
        )
        for row in material.comparison.rows
        if row.row in lines
    ]
    first = next(iter(lines.values()))[key]
    return Example(
        title=f"Example {key}",
        source=str(first.get("source") or ""),
        reference=str(first.get("reference") or ""),
        answers=answers,
    )


SECTION = Section(name="examples", title="Examples", order=60, render=render_examples)
