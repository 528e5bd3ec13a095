"""All pairs of rows by the ranking score: differences, intervals, adjusted tests, minimum detectable differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hf_peft_compare.comparison import Comparison, MethodRow, PairedDifference
from hf_peft_compare.comparison.columns import ranking_column
from hf_peft_compare.comparison.crossed_effects import CLAIMS
from hf_peft_compare.report.blocks import Block, Cell, Chart, Charts, Column, Material, Section, Table
from hf_peft_compare.report.charts.differences import difference_chart
from hf_peft_compare.report.charts.drawing import first_view
from hf_peft_compare.utils.formatting import (
    UNKNOWN,
    format_about,
    format_difference,
    format_interval,
    format_p_value,
    format_percent,
    format_score,
)

MOST_PAIRS, MOST_OTHERS = 45, 400  # what a page shows at once, and what it holds folded
TITLES = (
    "minus method",
    "Difference",
    "Interval",
    "Adjusted p",
    "Effect size",
    "Win rate",
    "Minimum detectable difference",
    "Seeds needed",
    "Examples needed",
)


def render_pairwise(material: Material) -> list[Block]:
    """Return a chart of all rows against the best, and a table of all pairs; of many, those with the best lead."""
    comparison = material.comparison
    if not comparison.pairs:
        return []
    best = comparison.row(comparison.best_row)
    against = [(row, comparison.pair(row.row, comparison.best_row)) for row in comparison.finished_rows]
    known = [(row, pair) for row, pair in against if pair is not None and pair.interval.known]
    return [*([_chart(material, best, known)] if best and known else []), _table(material)]


def _chart(material: Material, best: MethodRow, pairs: Sequence[tuple[MethodRow, PairedDifference]]) -> Charts:
    title = ranking_column(material.comparison).title
    words = f"{title} minus that of {best.label}"
    alt = "; ".join(f"{row.label} {format_difference(pair.mean)}" for row, pair in pairs)
    live = difference_chart(material, description=f"{words}: {alt}")
    chart = Chart(name="differences", alt=f"{words}: {alt}", spec=first_view(live))
    caption = f"Differences in {title}, with intervals that hold for all pairs at once; filled: significant."
    return Charts(charts=[chart], caption=caption, live=live)


def _table(material: Material) -> Table:
    comparison = material.comparison
    shown, others = split_pairs(comparison)
    best = comparison.row(comparison.best_row)
    which = f"{best.label} and every other method" if others and best else "all pairs of methods"
    return Table(
        name="pairs",
        caption=f"{ranking_column(comparison).title} of {which}, paired by example.",
        columns=[
            Column(title="Method", numeric=False),
            *(Column(title=name, numeric=name != "minus method") for name in TITLES),
        ],
        rows=[_cells(material, pair) for pair in shown],
        notes=_notes(comparison, num_shown=len(shown)),
        main=True,
        leads=True,
        rest=[_cells(material, pair) for pair in others],
        rest_title=f"{len(others):,} other pairs",
    )


def split_pairs(comparison: Comparison) -> tuple[list[PairedDifference], list[PairedDifference]]:
    """Return the pairs that a page shows at once, all or of many those with the best row, and those that it folds."""
    pairs = ordered_pairs(comparison)
    if len(pairs) <= MOST_PAIRS:
        return pairs, []
    with_best = [pair for pair in pairs if comparison.best_row in (pair.row, pair.other)][:MOST_PAIRS]
    return with_best, [pair for pair in pairs if comparison.best_row not in (pair.row, pair.other)][:MOST_OTHERS]


def ordered_pairs(comparison: Comparison) -> list[PairedDifference]:
    """Return all pairs as the better row minus the worse, sorted by the better row's score, then by the other's."""
    column = ranking_column(comparison)
    sign = -1 if column.greater_is_better else 1
    scores = {row.row: sign * row.figures[column.key] for row in comparison.rows if column.key in row.figures}
    place = {row: score if math.isfinite(score) else math.inf for row, score in scores.items()}
    oriented = [pair if place[pair.row] <= place[pair.other] else pair.reversed() for pair in comparison.pairs]
    return sorted(oriented, key=lambda pair: (place[pair.row], place[pair.other]))


def _cells(material: Material, pair: PairedDifference) -> list[Cell]:
    labels = {row.row: row.label for row in material.comparison.rows}
    reason = [] if pair.interval.known or not pair.interval.reason else [pair.interval.reason]
    needed = (pair.num_seeds_needed, pair.num_examples_needed)
    return [
        Cell(text=labels[pair.row], accent=material.colors[pair.row]),
        Cell(text=labels[pair.other]),
        Cell(text=format_difference(pair.mean), best=pair.significant, details=reason),
        Cell(text=format_interval(pair.interval, signed=True)),
        Cell(text=format_p_value(pair.adjusted_p_value)),
        Cell(text=UNKNOWN if pair.effect_size is None else f"{pair.effect_size:+.2f}".replace("-", "−")),
        Cell(text=format_percent(pair.improvement)),
        Cell(text=format_score(pair.detectable)),
        *(Cell(text=UNKNOWN if not number else format_about(number)) for number in needed),
    ]


def _notes(comparison: Comparison, *, num_shown: int) -> list[str]:
    """Return notes on the methods behind the table and their limits."""
    all_scopes = {pair.interval.scope for pair in comparison.pairs if pair.interval.known}
    # "over 150 test examples" is said by "over 150 test examples and 3 seeds", which holds for rows that have seeds.
    scopes = sorted(s for s in all_scopes if not any(other != s and other.startswith(s) for other in all_scopes))
    more = len(comparison.pairs) - num_shown
    return [
        *([f"All {len(comparison.pairs):,} pairs are in results.json, and in the adjustment."] if more else []),
        f"Intervals hold for all pairs at once, with 95 % confidence: {'; '.join(scopes) or 'none is known'}.",
        "Seeds and examples are crossed random effects: seeds of two methods are independent, examples are paired. "
        "Tests use a t distribution with Satterthwaite's degrees of freedom, with the seed component counted double.",
        "p is adjusted over all pairs by Holm's method; marked differences are significant (adjusted p < .05).",
        CLAIMS,
        "Effect size: the difference divided by its standard deviation between examples. Win rate: the share of "
        "examples on which the method is better, over all pairs of seeds; ties count half; a dash for scores of the "
        "whole split, such as F1.",
        "Minimum detectable difference: the true difference that this study detects with 80 % power, at Holm's "
        "strictest step; a dash if the score cannot differ by that much. Seeds or examples needed: the number with "
        f"which a difference of {format_score(comparison.smallest_difference)}, the smallest that matters, would be "
        "detectable, the other number unchanged; a dash if more of that alone is not enough.",
    ]


SECTION = Section(name="pairwise", title="Pairwise comparison", order=25, render=render_pairwise)
