"""The rows on the Pareto front of quality against each cost, with the share of resamples."""

from __future__ import annotations

from hf_peft_compare.comparison.columns import ranking_column
from hf_peft_compare.comparison.pareto import NUM_RESAMPLES, Front, pareto_fronts
from hf_peft_compare.report.blocks import Block, Cell, Column, Material, Section, Table
from hf_peft_compare.utils.formatting import UNKNOWN, format_percent


def render_pareto(material: Material) -> list[Block]:
    """Return a table of the share of resamples in which each row is on each front."""
    comparison = material.comparison
    fronts = pareto_fronts(comparison) if comparison.best_row else []
    if not fronts:
        return []
    titles = [front.cost.title.split(" (")[0] for front in fronts]
    return [
        Table(
            name="pareto",
            caption=f"Share of resamples on the Pareto front of {ranking_column(comparison).title} against each cost.",
            columns=[Column(title="Method", numeric=False), *(Column(title=title) for title in titles)],
            rows=[
                [Cell(text=row.label, accent=material.colors[row.row]), *(_cell(front, row.row) for front in fronts)]
                for row in comparison.finished_rows
            ],
            notes=[
                "Pareto front: methods for which no other is as good and as cheap, and better in one of the two. "
                f"Marked: on the front as measured. Shares are of {NUM_RESAMPLES:,} resamples of test examples and, if "
                "there are several, of seeds; methods without training have no training cost.",
            ],
            main=True,
        )
    ]


def _cell(front: Front, row: str) -> Cell:
    share = front.shares.get(row)
    if share is None:
        return Cell(text=UNKNOWN)
    text = "> 99 %" if 0.995 <= share < 1 else "< 1 %" if 0 < share < 0.005 else format_percent(round(share, 2))
    return Cell(text=text, best=row in front.members)


SECTION = Section(name="pareto", title="Pareto front", order=52, render=render_pareto)
