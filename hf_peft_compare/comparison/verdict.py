"""The verdict in words: which rows may be the best, what undoes the comparison, what the cheapest of these may cost.

Every sentence follows from numbers and claims no more than they show: "not significantly different" is never "equal".
Rows are called better as methods only after several seeds, at rates that were chosen (see `caveats`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.caveats import as_methods, describe_caveats, untuned_rows
from hf_peft_compare.comparison.columns import LATENCY, PARAMETERS, FigureColumn, cost_columns, ranking_column
from hf_peft_compare.comparison.intervals import Interval
from hf_peft_compare.comparison.pairwise import PairedDifference
from hf_peft_compare.comparison.rows import MethodRow, rate_of
from hf_peft_compare.utils.formatting import (
    format_about,
    format_difference,
    format_interval,
    format_p_value,
    format_percent,
    format_score,
    format_significant,
    join_words,
    shorten,
)

COST_TOLERANCE = 0.05  # times and resident memory of identical runs differ by a few percent


def describe_verdict(comparison: Comparison) -> list[str]:
    """Return the verdict as sentences, the most important first."""
    best = comparison.row(comparison.best_row)
    if best is None:
        return ["No finished run has a score yet, so there is nothing to compare."]
    members = best_rows(comparison)
    return [
        *_describe_untuned(comparison),
        _describe_set(comparison, members),
        *_describe_others(comparison, best, members),
        *_describe_untested(comparison, best),
        *describe_caveats(comparison),
        *_describe_cheapest(comparison, best, members),
        *_describe_power(comparison, best, members),
        *_describe_scope(comparison),
    ]


def best_rows(comparison: Comparison) -> list[MethodRow]:
    """Return the rows of the best set, the best mean first."""
    found = [comparison.row(name) for name in comparison.best_set]
    return [row for row in found if row is not None]


def _describe_untuned(comparison: Comparison) -> Iterator[str]:
    if untuned := untuned_rows(comparison):
        rates = ", ".join(shorten([f"{row.label} ({_rate_of(row)})" for row in untuned]))
        yield f"Untuned: {rates} ran at default learning rates, so differences may be due to rates, not methods."


def _rate_of(row: MethodRow) -> str:
    return f"{rate_of(row.record):g}" if row.record is not None else ""


def _describe_set(comparison: Comparison, members: Sequence[MethodRow]) -> str:
    """Return the sentence that leads: the rows of which the best is one with 95 % confidence."""
    best = members[0]
    value = write_score(comparison, best, comparison.best_interval)
    others = [comparison.pair(row.row, best.row) for row in comparison.finished_rows if row.row != best.row]
    tested = [pair for pair in others if pair is not None and pair.p_value is not None]
    if not tested:
        why = "no other method can be tested against it" if others else "there is no other method to compare it with"
        return f"{best.label} has {value}; {why}."
    method = "method" if as_methods(comparison) else "row"
    method += " of those tested" if len(tested) < len(others) else ""
    start = "With 95 % confidence" if as_methods(comparison) else "In these runs, with 95 % confidence"
    if len(members) == 1:
        return f"{start}, the best {method} is {best.label}: {value}."
    score = str(comparison.ranking_score)
    means = ", ".join(shorten([f"{row.label} ({format_score(row.figures[score])})" for row in members]))
    chance = (
        "the highest of several means is likely too high" if _higher(comparison) else "the lowest is likely too low"
    )
    order = "their order is not known" if len(members) > 2 else "which of the two is not known"
    return f"{start}, the best {method} is one of these, and {order}: {means}. {best.label} has {value}; {chance}."


def _higher(comparison: Comparison) -> bool:
    return bool(ranking_column(comparison).greater_is_better)


def write_score(comparison: Comparison, row: MethodRow, interval: Interval | None = None) -> str:
    """Return a row's ranking score as text, with its interval or the reason why there is none."""
    column = ranking_column(comparison)
    interval = interval or row.intervals.get(column.key)
    value = f"{column.title} {format_score(row.figures[column.key])}"
    if interval is None or not interval.known:
        return f"{value} (no interval: {interval.reason if interval else 'no score per example'})"
    return f"{value} ({format_level(interval)} interval {format_interval(interval)}, {interval.scope})"


def format_level(interval: Interval) -> str:
    """Return the level of an interval in percent, which is never rounded up to 100."""
    rounded = format_percent(round(interval.level, 4))
    return rounded if rounded != "100 %" else f"{int(1e4 * interval.level) / 100} %"


def write_pair(pair: PairedDifference) -> str:
    """Return a pair's difference, its interval and its adjusted p-value as text."""
    if not pair.interval.known:
        return f"{format_difference(pair.mean)}, {pair.interval.reason}"
    interval = format_interval(pair.interval, signed=True)
    return f"{format_difference(pair.mean)}, interval {interval}, adjusted p {format_p_value(pair.adjusted_p_value)}"


def _describe_others(comparison: Comparison, best: MethodRow, members: Sequence[MethodRow]) -> Iterator[str]:
    """Yield the rows that are not in the set, with what they are behind the best mean."""
    names = {row.row for row in members}
    others = [
        (row, pair) for row, pair in _against(comparison, best) if row.row not in names and pair.p_value is not None
    ]
    behind = [f"{row.label} ({write_pair(pair)})" for row, pair in others if pair.significant]
    outside = [f"{row.label} ({write_pair(pair)})" for row, pair in others if not pair.significant]
    if behind:
        yield f"Behind {best.label}: {'; '.join(shorten(behind))}."
    if outside:  # tests against the best alone find more than those of all pairs do
        words = "; ".join(shorten(outside))
        yield f"Outside of the set, though not told from {best.label} in the tests of all pairs: {words}."


def _against(comparison: Comparison, best: MethodRow) -> Iterator[tuple[MethodRow, PairedDifference]]:
    """Yield every other row with its difference from the best, by its mean."""
    column = ranking_column(comparison)
    for row in comparison.ranked(column.key, greater_is_better=bool(column.greater_is_better)):
        pair = comparison.pair(row.row, best.row)
        if pair is not None:
            yield row, pair


def _describe_untested(comparison: Comparison, best: MethodRow) -> Iterator[str]:
    """Yield the rows that are not tested against the best, by reason."""
    by_reason: dict[str, list[str]] = {}
    for row in comparison.finished_rows:
        pair = comparison.pair(row.row, best.row)
        if row.row != best.row and (pair is None or pair.p_value is None):
            reason = pair.interval.reason if pair else f"not every seed has {ranking_column(comparison).title}"
            by_reason.setdefault(str(reason), []).append(row.label)
    for reason, labels in by_reason.items():
        yield f"Not tested against it: {', '.join(shorten(labels))} ({reason})."


def _describe_cheapest(comparison: Comparison, best: MethodRow, members: Sequence[MethodRow]) -> Iterator[str]:
    """Yield which of the rows costs least by each cost, and what the one with the fewest parameters may cost."""
    costs_by_names: dict[str, list[str]] = {}
    for column in cost_columns(comparison):
        if column == LATENCY:  # the median of a few calls: too noisy for a ranking
            continue
        costs = {row.label: row.figures.get(column.key, 0.0 if row.floor else math.nan) for row in members}
        known = {label: cost for label, cost in costs.items() if math.isfinite(cost)}
        cheapest = [label for label, cost in known.items() if cost <= (1 + COST_TOLERANCE) * min(known.values())]
        if len(known) > 1:
            names = join_words(cheapest) if len(cheapest) < len(known) else "nearly the same"
            costs_by_names.setdefault(names, []).append(_in_words(column))
    if costs_by_names:
        parts = (f"{names} by {join_words(costs)}" for names, costs in costs_by_names.items())
        yield f"Cheapest of these: {'; '.join(parts)}."
    smallest = min(members, key=lambda row: row.cost)
    if smallest.row != best.row and (price := describe_price(comparison, smallest, best)):
        yield price


def describe_price(comparison: Comparison, row: MethodRow, best: MethodRow) -> str | None:
    """Return what a cheaper row saves against the best mean, and what quality it may cost; None if unknown."""
    pair = comparison.pair(row.row, best.row)
    key = PARAMETERS.key
    if pair is None or pair.interval.low is None or pair.interval.high is None:
        return None
    loss = max(-pair.interval.low if _higher(comparison) else pair.interval.high, 0.0)
    ours, theirs = row.figures.get(key), best.figures.get(key)
    worse = f"is at most {format_score(loss)} worse"
    level = format_level(pair.interval)
    if ours and theirs:
        share = "" if ours == theirs else f"{format_percent(float(f'{ours / theirs:.2g}'))} "
        sooner = " in less time" if ours == theirs and row.cost < best.cost else ""
        return f"{row.label} trains {share}as many parameters as {best.label}{sooner} and {worse} ({level})."
    return f"{row.label} {'trains nothing and ' if row.floor else ''}{worse} than {best.label} ({level})."


def _in_words(column: FigureColumn) -> str:
    """Return a column's title for use within a sentence, without its unit."""
    title = column.title.split(" (")[0]
    return title[0].lower() + title[1:]


def _describe_power(comparison: Comparison, best: MethodRow, members: Sequence[MethodRow]) -> Iterator[str]:
    """Yield what could not have been found within the set, and the size of a study that finds what matters."""
    wanted = comparison.smallest_difference
    paired = ((row, comparison.pair(row.row, best.row)) for row in members[1:])
    pairs = [(row, pair) for row, pair in paired if pair and pair.interval.known]
    if not pairs or wanted is None:
        return
    hidden = [row.label for row, pair in pairs if pair.detectable is None]
    worst = max((pair for _, pair in pairs), key=lambda pair: math.inf if pair.detectable is None else pair.detectable)
    size = worst.detectable
    from_here = f"No difference from {best.label}" if size is None else f"Differences from {format_score(size)} on"
    found = f"{from_here} would be found{' for ' if hidden else ''}{join_words(hidden)} (power .8)"
    matters = format_significant(float(f"{wanted:.2g}"))
    if size is not None and size <= wanted:
        yield f"{found}, which is enough for the smallest that matters, {matters}."
    else:
        needs = _write_needs(worst)
        yield f"{found}; for the smallest that matters, {matters}, this study is too small: it takes {needs}."


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


def _describe_scope(comparison: Comparison) -> Iterator[str]:
    """Yield what the intervals do not cover."""
    trained = [row for row in comparison.finished_rows if not row.floor]
    if trained and any(pair.interval.known for pair in comparison.pairs):
        tuned = any(row.record is not None and row.record.tuning is not None for row in trained)
        settings = "the settings found" if tuned else "these settings"
        yield f"Intervals hold for {settings}, this train split and test examples of the same kind."
