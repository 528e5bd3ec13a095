"""The verdict in words: the best row, what cannot be told from it, what is cheapest of these, what would tell more.

Every sentence follows from numbers, and none says more than they do: "not told apart" is never "equal".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.columns import LATENCY, FigureColumn, cost_columns, ranking_column
from hf_peft_compare.comparison.intervals import FEW_EXAMPLES, TOO_FEW_SEEDS
from hf_peft_compare.comparison.pairwise import PairedDifference
from hf_peft_compare.comparison.rows import MethodRow
from hf_peft_compare.utils.formatting import (
    format_about,
    format_difference,
    format_interval,
    format_p_value,
    format_score,
)

ALIKE = 0.05  # clocks and resident memory of equal runs differ by some percent


def say_verdict(comparison: Comparison) -> list[str]:
    """Give the verdict as sentences, the most important first."""
    best = comparison.row(comparison.best_row)
    if best is None:
        return ["No finished run has a score yet, so there is nothing to compare."]
    rivals = rivals_of(comparison, best)
    return [
        _say_best(comparison, best),
        *_say_rivals(rivals),
        *_say_untested(comparison, best),
        *_say_cheapest(comparison, [best, *(row for row, _ in rivals)]),
        *_say_what_it_takes(rivals),
        *say_limits(comparison),
        *comparison.disagreements,
    ]


def rivals_of(comparison: Comparison, best: MethodRow) -> list[tuple[MethodRow, PairedDifference]]:
    """Give the rows that the test over all pairs does not tell from a row, the nearest first."""
    found = [
        (row, pair) for row, pair in _against(comparison, best) if pair.p_value is not None and not pair.told_apart
    ]
    return sorted(found, key=lambda entry: abs(entry[1].mean or 0))


def _against(comparison: Comparison, best: MethodRow) -> Iterator[tuple[MethodRow, PairedDifference]]:
    """Give every other row with its difference to one."""
    for row in comparison.rows:
        pair = comparison.pair(row.row, best.row)
        if pair is not None:
            yield row, pair


def _say_best(comparison: Comparison, best: MethodRow) -> str:
    value = write_score(comparison, best)
    pairs = [pair for _, pair in _against(comparison, best)]
    told = [pair.adjusted_p_value or 0.0 for pair in pairs if pair.told_apart]
    if len(pairs) > len(told):
        return f"{best.label} has the best {value}, told from {len(told)} of {len(pairs)} other rows."
    if not pairs:
        return f"{best.label} has {value}; there is no other row to compare it with."
    return f"{best.label} is the best: {value}, told from every other row (adjusted p ≤ {_largest(told)})."


def write_score(comparison: Comparison, row: MethodRow) -> str:
    """Write a row's ranking score with its interval, or why there is none."""
    column = ranking_column(comparison)
    interval = row.intervals.get(column.key)
    value = f"{column.title} {format_score(row.figures[column.key])}"
    if interval is None or not interval.known:
        return f"{value} (no interval: {interval.reason if interval else 'no score per example'})"
    return f"{value} (95 % interval {format_interval(interval)}, {interval.scope})"


def _largest(p_values: Sequence[float]) -> str:
    return format_p_value(max(p_values)).replace("<", "")


def _say_rivals(rivals: Sequence[tuple[MethodRow, PairedDifference]]) -> Iterator[str]:
    if rivals:
        words = "; ".join(f"{row.label} ({write_pair(pair)})" for row, pair in rivals)
        yield f"Not to be told from it: {words}."


def write_pair(pair: PairedDifference) -> str:
    """Write a pair's difference, its interval and its adjusted p-value."""
    interval = format_interval(pair.interval, signed=True)
    return (
        f"{format_difference(pair.mean)}, 95 % interval {interval}, adjusted p {format_p_value(pair.adjusted_p_value)}"
    )


def _say_untested(comparison: Comparison, best: MethodRow) -> Iterator[str]:
    """Name the rows that no test compares with the best, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for row, pair in _against(comparison, best):
        if pair.p_value is None:
            by_reason.setdefault(str(pair.interval.reason), []).append(row.label)
    for reason, labels in by_reason.items():
        yield f"Not tested against it: {', '.join(labels)} ({reason})."


def _say_cheapest(comparison: Comparison, rows: Sequence[MethodRow]) -> Iterator[str]:
    """Say which of the rows that cannot be told apart costs least, and where they cost about the same."""
    costs_by_names: dict[str, list[str]] = {}
    for column in cost_columns(comparison):
        if column == LATENCY:  # the median of a few calls: too noisy to say who is cheapest
            continue
        costs = {row.label: row.figures.get(column.key, 0.0 if row.floor else math.nan) for row in rows}
        known = {label: cost for label, cost in costs.items() if math.isfinite(cost)}
        cheapest = [label for label, cost in known.items() if cost <= (1 + ALIKE) * min(known.values())]
        if len(known) > 1:
            names = " and ".join(cheapest) if len(cheapest) < len(known) else "nearly the same"
            costs_by_names.setdefault(names, []).append(_in_words(column))
    if costs_by_names:
        parts = (f"by {' and '.join(costs)}, {names}" for names, costs in costs_by_names.items())
        yield f"Cheapest of these: {'; '.join(parts)}."


def _in_words(column: FigureColumn) -> str:
    """Write a column's title within a sentence, without its unit."""
    title = column.title.split(" (")[0]
    return title[0].lower() + title[1:]


def _say_what_it_takes(rivals: Sequence[tuple[MethodRow, PairedDifference]]) -> Iterator[str]:
    """Say what this study could find, and how large one would find the differences that it measured."""
    if rivals:
        least, most = (format_score(end(pair.detectable or 0.0 for _, pair in rivals)) for end in (min, max))
        found = least if least == most else f"{least} to {most}"
        takes = "; ".join(f"{row.label}, {_write_needs(pair)}" for row, pair in rivals)
        yield f"Among these the study would find a difference of {found}. To find the measured one takes: {takes}."


def _write_needs(pair: PairedDifference) -> str:
    """Write how many seeds, or how many test examples, would do."""
    ways = [
        f"about {format_about(number)} {what}"
        for number, what in (
            (pair.num_seeds_needed, f"seeds on {pair.interval.num_examples:,} test examples"),
            (pair.num_examples_needed, "test examples with these seeds"),
        )
        if number is not None
    ]
    return " or ".join(ways) or "more seeds and more test examples"


def say_limits(comparison: Comparison) -> Iterator[str]:
    """Say what the number of seeds and of test examples leaves open."""
    trained = [row for row in comparison.finished_rows if not row.floor]
    fewest = min((len(row.finished_runs) for row in trained), default=math.inf)
    few = [row.label for row in trained if len(row.finished_runs) == fewest]
    names = "Every trained row" if len(few) == len(trained) else f"Of the trained rows {', '.join(few)}"
    if fewest == 1:
        yield f"{names} has one seed, so this holds for this seed only: another may order the rows differently."
    elif fewest <= TOO_FEW_SEEDS:
        yield f"{names} has two seeds, too few: intervals may cover less than 95 %, and equal rows may seem to differ."
    examples = min((pair.interval.num_examples for pair in comparison.pairs if pair.interval.known), default=math.inf)
    if examples < FEW_EXAMPLES:
        yield f"With {examples} test examples, intervals and tests hold only where scores are nearly normal."
