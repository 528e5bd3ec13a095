"""The scores that are not in the main table, with their intervals."""

from __future__ import annotations

from hf_peft_compare.comparison.columns import main_scores, score_column
from hf_peft_compare.report.blocks import Block, Material, Section
from hf_peft_compare.report.sections.comparison import figure_table


def render_scores(material: Material) -> list[Block]:
    """Return a table of the other scores; [] if there are none."""
    comparison = material.comparison
    others = [name for name in comparison.scores if name not in main_scores(comparison)]
    if comparison.best_row is None or not others:
        return []
    columns = [score_column(comparison, name) for name in others]
    return [
        figure_table(
            material, name="scores", caption="The other scores; small: 95 % interval.", columns=columns, notes=[]
        )
    ]


SECTION = Section(name="scores", title="Scores in full", order=30, render=render_scores)
