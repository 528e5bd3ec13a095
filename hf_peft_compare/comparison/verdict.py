"""The verdict in words: the best row, rows not significantly different, the cheapest of these, and the power needed.

Every sentence follows from numbers and claims no more than they show: "not significantly different" is never "equal".
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

COST_TOLERANCE = 0.05  # times and resident memory of identical runs differ by a few percent


def describe_verdict(comparison: Comparison) -> list[str]:
    """Return the verdict as sentences, the most important first."""
    best = comparison.row(comparison.best_row)
    if best is None:
        return ["No finished run has a score yet, so there is nothing to compare."]
    rivals = rivals_of(comparison, best)
    return [
        _describe_best(comparison, best),
        *_describe_rivals(rivals),
        *_describe_untested(comparison, best),
        *_describe_cheapest(comparison, [best, *(row for row, _ in rivals)]),
        *_describe_power(rivals),
        *describe_limits(comparison),
        *comparison.disagreements,
    ]


def rivals_of(comparison: Comparison, best: MethodRow) -> list[tuple[MethodRow, PairedDifference]]:
    """Return the rows that are not significantly different from a row, the smallest difference first."""
    found = [
        (row, pair) for row, pair in _against(comparison, best) if pair.p_value is not None and not pair.significant
    ]
    return sorted(found, key=lambda entry: abs(entry[1].mean or 0))


def _against(comparison: Comparison, best: MethodRow) -> Iterator[tuple[MethodRow, PairedDifference]]:
    """Yield every other row with its difference from the best."""
    for row in comparison.rows:
        pair = comparison.pair(row.row, best.row)
        if pair is not None:
            yield row, pair


def _describe_best(comparison: Comparison, best: MethodRow) -> str:
    value = write_score(comparison, best)
    pairs = [pair for _, pair in _against(comparison, best)]
    found = [pair.adjusted_p_value or 0.0 for pair in pairs if pair.significant]
    if len(pairs) > len(found):
        others = f"{len(found)} of {len(pairs)} other methods (adjusted p < .05)"
        return f"{best.label} has the best score: {value}, significantly better than {others}."
    if not pairs:
        return f"{best.label} has {value}; there is no other method to compare it with."
    limit = f"adjusted p ≤ {_largest(found)}"
    return f"{best.label} is the best: {value}, significantly better than every other method ({limit})."


def write_score(comparison: Comparison, row: MethodRow) -> str:
    """Return a row's ranking score as text, with its interval or the reason why there is none."""
    column = ranking_column(comparison)
    interval = row.intervals.get(column.key)
    value = f"{column.title} {format_score(row.figures[column.key])}"
    if interval is None or not interval.known:
        return f"{value} (no interval: {interval.reason if interval else 'no score per example'})"
    return f"{value} (95 % interval {format_interval(interval)}, {interval.scope})"


def _largest(p_values: Sequence[float]) -> str:
    return format_p_value(max(p_values)).replace("<", "")


def _describe_rivals(rivals: Sequence[tuple[MethodRow, PairedDifference]]) -> Iterator[str]:
    if rivals:
        words = "; ".join(f"{row.label} ({write_pair(pair)})" for row, pair in rivals)
        yield f"Not significantly different: {words}."


def write_pair(pair: PairedDifference) -> str:
    """Return a pair's difference, its interval and its adjusted p-value as text."""
    interval = format_interval(pair.interval, signed=True)
    return (
        f"{format_difference(pair.mean)}, 95 % interval {interval}, adjusted p {format_p_value(pair.adjusted_p_value)}"
    )


def _describe_untested(comparison: Comparison, best: MethodRow) -> Iterator[str]:
    """Yield the rows that are not tested against the best, by reason."""
    by_reason: dict[str, list[str]] = {}
    for row, pair in _against(comparison, best):
        if pair.p_value is None:
            by_reason.setdefault(str(pair.interval.reason), []).append(row.label)
    for reason, labels in by_reason.items():
        yield f"Not tested against it: {', '.join(labels)} ({reason})."


def _describe_cheapest(comparison: Comparison, rows: Sequence[MethodRow]) -> Iterator[str]:
    """Yield which of the rows costs least by each cost, and the costs in which they are nearly the same."""
    costs_by_names: dict[str, list[str]] = {}
    for column in cost_columns(comparison):
        if column == LATENCY:  # the median of a few calls: too noisy for a ranking
            continue
        costs = {row.label: row.figures.get(column.key, 0.0 if row.floor else math.nan) for row in rows}
        known = {label: cost for label, cost in costs.items() if math.isfinite(cost)}
        cheapest = [label for label, cost in known.items() if cost <= (1 + COST_TOLERANCE) * min(known.values())]
        if len(known) > 1:
            names = " and ".join(cheapest) if len(cheapest) < len(known) else "nearly the same"
            costs_by_names.setdefault(names, []).append(_in_words(column))
    if costs_by_names:
        parts = (f"{names} by {' and '.join(costs)}" for names, costs in costs_by_names.items())
        yield f"Cheapest of these: {'; '.join(parts)}."


def _in_words(column: FigureColumn) -> str:
    """Return a column's title for use within a sentence, without its unit."""
    title = column.title.split(" (")[0]
    return title[0].lower() + title[1:]


def _describe_power(rivals: Sequence[tuple[MethodRow, PairedDifference]]) -> Iterator[str]:
    """Yield the minimum detectable difference of this study, and the size of one that detects the observed ones."""
    if rivals:
        least, most = (format_score(end(pair.detectable or 0.0 for _, pair in rivals)) for end in (min, max))
        detectable = least if least == most else f"{least} to {most}"
        if len(rivals) == 1:
            needs = f"Detecting the observed one would take {_write_needs(rivals[0][1])}"
        else:
            each = "; ".join(f"{row.label}, {_write_needs(pair)}" for row, pair in rivals)
            needs = f"Detecting the observed ones would take: {each}"
        yield f"Minimum detectable difference: {detectable} (80 % power). {needs}."


def _write_needs(pair: PairedDifference) -> str:
    """Return the number of seeds, or of test examples, that is enough, as text."""
    ways = [
        f"about {format_about(number)} {what}"
        for number, what in (
            (pair.num_seeds_needed, f"seeds on {pair.interval.num_examples:,} test examples"),
            (pair.num_examples_needed, "test examples with these seeds"),
        )
        if number is not None
    ]
    return " or ".join(ways) or "more seeds and more test examples"


def describe_limits(comparison: Comparison) -> Iterator[str]:
    """Yield the limitations due to the numbers of seeds and of test examples."""
    trained = [row for row in comparison.finished_rows if not row.floor]
    fewest = min((len(row.finished_runs) for row in trained), default=math.inf)
    few = [row.label for row in trained if len(row.finished_runs) == fewest]
    who = (
        "Every trained method has"
        if len(few) == len(trained)
        else f"{', '.join(few)} {'has' if len(few) == 1 else 'have'}"
    )
    if fewest == 1:
        yield f"{who} one seed only, so the verdict holds for this seed only: another may rank the methods differently."
    elif fewest <= TOO_FEW_SEEDS:
        yield f"{who} only two seeds: intervals may cover less than 95 %, and tests may give more false positives."
    examples = min((pair.interval.num_examples for pair in comparison.pairs if pair.interval.known), default=math.inf)
    if examples < FEW_EXAMPLES:
        yield f"With {examples} test examples, intervals and tests hold only if scores are nearly normally distributed."
