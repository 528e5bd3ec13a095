"""Who is on the front of quality against each cost, and how surely."""

from __future__ import annotations

from hf_peft_compare.comparison.columns import ranking_column
from hf_peft_compare.comparison.pareto import NUM_RESAMPLES, Front, pareto_fronts
from hf_peft_compare.report.blocks import Block, Cell, Column, Material, Section, Table
from hf_peft_compare.utils.formatting import UNKNOWN, format_percent


def render_pareto(material: Material) -> list[Block]:
    """Tabulate the share of resamples in which each row is on each front."""
    comparison = material.comparison
    fronts = pareto_fronts(comparison) if comparison.best_row else []
    if not fronts:
        return []
    titles = [front.cost.title.split(" (")[0] for front in fronts]
    return [
        Table(
            name="pareto",
            caption=f"How often each row is on the front of {ranking_column(comparison).title} against a cost.",
            columns=[Column(title="Method", numeric=False), *(Column(title=title) for title in titles)],
            rows=[
                [Cell(text=row.label, accent=material.colors[row.row]), *(_cell(front, row.row) for front in fronts)]
                for row in comparison.finished_rows
            ],
            notes=[
                "On the front: no other row is as good and as cheap, and better in one of the two. Marked: on the "
                f"front as measured. Shares are of {NUM_RESAMPLES:,} resamples of test examples and, where there are "
                "several, of seeds; what trains nothing has no cost of training.",
            ],
            main=True,
        )
    ]


def _cell(front: Front, row: str) -> Cell:
    share = front.shares.get(row)
    return Cell(text=UNKNOWN if share is None else format_percent(round(share, 2)), best=row in front.members)


SECTION = Section(name="pareto", title="On the front", order=52, render=render_pareto)
