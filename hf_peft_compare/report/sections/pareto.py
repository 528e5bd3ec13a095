"""The rows on the Pareto front of quality against each cost, with the share of resamples."""

from __future__ import annotations

from collections.abc import Sequence

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.comparison.columns import ranking_column
from hf_peft_compare.comparison.pareto import NUM_RESAMPLES, Front, pareto_fronts
from hf_peft_compare.report.blocks import MANY_ROWS, Block, Cell, Column, Material, Section, Table
from hf_peft_compare.utils.formatting import UNKNOWN, format_percent


def render_pareto(material: Material) -> list[Block]:
    """Return a table of the share of resamples in which each row is on each front."""
    comparison = material.comparison
    fronts = pareto_fronts(comparison) if comparison.best_row else []
    if not fronts:
        return []
    titles = [front.cost.title.split(" (")[0] for front in fronts]
    shown, others = _split(comparison.finished_rows, fronts)
    note = (
        "Pareto front: methods for which no other is as good and as cheap, and better in one of the two. "
        f"Marked: on the front as measured. Shares are of {NUM_RESAMPLES:,} resamples of test examples and, if "
        "there are several, of seeds; methods without training have no training cost."
    )
    left_out = f"{len(others)} methods on no front as measured"
    return [
        Table(
            name="pareto",
            caption=f"Share of resamples on the Pareto front of {ranking_column(comparison).title} against each cost.",
            columns=[Column(title="Method", numeric=False), *(Column(title=title) for title in titles)],
            rows=[_cells(material, fronts, row) for row in shown],
            notes=[note, *([f"Left out of the table: {left_out}."] if others else [])],
            main=True,
            leads=True,
            rest=[_cells(material, fronts, row) for row in others],
            rest_title=left_out,
        )
    ]


def _split(rows: Sequence[MethodRow], fronts: Sequence[Front]) -> tuple[list[MethodRow], list[MethodRow]]:
    """Return the rows that the table shows, all or of many those on a front as measured, and the others."""
    if len(rows) <= MANY_ROWS:
        return list(rows), []
    on_front = {row for front in fronts for row in front.members}
    return [row for row in rows if row.row in on_front], [row for row in rows if row.row not in on_front]


def _cells(material: Material, fronts: Sequence[Front], row: MethodRow) -> list[Cell]:
    return [Cell(text=row.label, accent=material.colors[row.row]), *(_cell(front, row.row) for front in fronts)]


def _cell(front: Front, row: str) -> Cell:
    share = front.shares.get(row)
    if share is None:
        return Cell(text=UNKNOWN)
    text = "> 99 %" if 0.995 <= share < 1 else "< 1 %" if 0 < share < 0.005 else format_percent(round(share, 2))
    return Cell(text=text, best=row in front.members)


SECTION = Section(name="pareto", title="Pareto front", order=52, render=render_pareto)
