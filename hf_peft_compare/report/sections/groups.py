"""Scores by group of examples, such as kinds of questions, and the size of each group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.comparison.columns import example_column
from hf_peft_compare.report.blocks import Block, Cell, Column, Material, Section, Table
from hf_peft_compare.utils.formatting import format_score


def render_groups(material: Material) -> list[Block]:
    """Return a table of the score that examples have, of each group by row; [] if examples have no groups."""
    score = example_column(material.comparison)
    if score is None:
        return []
    rows = {row.row: group_means(material, row, score.key) for row in material.comparison.finished_rows}
    groups = sorted({group for means in rows.values() for group in means})
    if not groups:
        return []
    greater = bool(score.greater_is_better)
    best = {group: _best({row: m[group] for row, m in rows.items() if group in m}, greater) for group in groups}
    counts = _counts(material)
    return [
        Table(
            name="groups",
            caption=f"{score.title} by group of test examples.",
            columns=_columns("Method", groups),
            rows=[
                [
                    Cell(text=row.label, accent=material.colors[row.row]),
                    *(
                        Cell(text=format_score(rows[row.row].get(group)), best=row.row in best[group])
                        for group in groups
                    ),
                ]
                for row in material.comparison.finished_rows
            ],
            main=True,
        ),
        *([_count_table(counts, groups)] if counts else []),
    ]


def group_means(material: Material, row: MethodRow, score: str) -> dict[str, float]:
    """Return a row's mean score of each group, over examples and seeds."""
    values: dict[str, list[float]] = {}
    for run in row.finished_runs:
        for line in material.predictions.get(run.run, ()):
            value = line.get("scores", {}).get(score)
            if line.get("group") is not None and value is not None:
                values.setdefault(str(line["group"]), []).append(value)
    return {group: sum(found) / len(found) for group, found in values.items()}


def group_lines(material: Material, run: str, group: str) -> list[Mapping[str, Any]]:
    """Return a run's predictions of the examples of a group."""
    return [line for line in material.predictions.get(run, ()) if str(line.get("group")) == group]


def group_size(material: Material, group: str) -> int:
    """Return the number of test examples of a group."""
    runs = (run.run for row in material.comparison.finished_rows for run in row.finished_runs)
    return next((len(lines) for run in runs if (lines := group_lines(material, run, group))), 0)


def _best(means: Mapping[str, float], greater_is_better: bool) -> set[str]:
    """Return the rows with the best mean; an empty set if all are the same."""
    if len(set(means.values())) < 2:
        return set()
    best = (max if greater_is_better else min)(means.values())
    return {row for row, mean in means.items() if mean == best}


def _counts(material: Material) -> Mapping[str, Mapping[str, int]]:
    """Return {split: {group: number of examples}} of the first record that has it."""
    records = (row.record for row in material.comparison.finished_rows)
    return next((r.provenance.groups for r in records if r and r.provenance.groups), {})


def _count_table(counts: Mapping[str, Mapping[str, int]], groups: Iterable[str]) -> Table:
    names = sorted({*groups, *(group for found in counts.values() for group in found)})
    return Table(
        name="group-sizes",
        caption="Examples by group and split.",
        columns=_columns("Split", [*names, "all"]),
        rows=[
            [Cell(text=text) for text in (split, *(f"{found.get(g, 0):,}" for g in names), f"{sum(found.values()):,}")]
            for split, found in counts.items()
        ],
    )


def _columns(first: str, others: Iterable[str]) -> list[Column]:
    return [Column(title=first, numeric=False), *(Column(title=title) for title in others)]


SECTION = Section(name="groups", title="By group", order=35, render=render_groups)
