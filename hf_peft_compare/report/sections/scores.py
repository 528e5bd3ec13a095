"""Every score with its interval, and the paired differences of the ranking score."""

from __future__ import annotations

from hf_peft_compare.comparison import PairedDifference
from hf_peft_compare.comparison.columns import main_scores, score_column
from hf_peft_compare.comparison.formatting import UNKNOWN, format_difference, format_interval
from hf_peft_compare.report.blocks import Block, Cell, Column, Material, Section, Table
from hf_peft_compare.report.sections.comparison import figure_table


def render_scores(material: Material) -> list[Block]:
    """Give the scores that the main table leaves out, and the differences."""
    comparison = material.comparison
    if comparison.best_row is None:
        return []
    blocks: list[Block] = [_differences(material)]
    others = [name for name in comparison.scores if name not in main_scores(comparison)]
    if others:
        columns = [score_column(comparison, name) for name in others]
        caption = "The other scores; small: 95 % interval over test examples."
        blocks.append(figure_table(material, name="scores", caption=caption, columns=columns, notes=[]))
    return blocks


def _differences(material: Material) -> Table:
    comparison = material.comparison
    title = str(comparison.scores[str(comparison.ranking_score)].get("title") or comparison.ranking_score)
    titles = ["Method", "minus the best row", "95 % interval", "minus the best floor", "95 % interval"]
    return Table(
        name="differences",
        caption=f"Paired differences of {title}, example by example; one that includes 0 leaves the order open.",
        columns=[Column(title=name, numeric=place > 0) for place, name in enumerate(titles)],
        rows=[
            [
                Cell(text=row.label, accent=material.colours[row.row]),
                *_pair(row.against_best),
                *_pair(row.against_floor),
            ]
            for row in comparison.finished_rows
        ],
        notes=[
            f"Best row: {_label(material, comparison.best_row)}.",
            f"Best floor: {_label(material, comparison.best_floor)}.",
            "The intervals are not corrected for the number of comparisons.",
        ],
        main=True,
    )


def _pair(paired: PairedDifference | None) -> list[Cell]:
    if paired is None:
        return [Cell(text=UNKNOWN), Cell(text=UNKNOWN)]
    return [Cell(text=format_difference(paired.mean)), Cell(text=format_interval(paired.interval, signed=True))]


def _label(material: Material, name: str | None) -> str:
    row = material.comparison.row(name)
    return row.label if row else "none"


SECTION = Section(name="scores", title="Scores in full", order=30, render=render_scores)
