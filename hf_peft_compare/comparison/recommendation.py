"""Recommend a method under a budget: the best that fits, with its evidence, or the nearest if none fits."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.caveats import describe_caveats
from hf_peft_compare.comparison.columns import (
    CHECKPOINT,
    LATENCY,
    PARAMETERS,
    TRAIN_TIME,
    has_cuda,
    memory_column,
    ranking_column,
)
from hf_peft_compare.comparison.rows import MethodRow
from hf_peft_compare.comparison.verdict import describe_price, write_pair, write_score
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.utils.formatting import (
    format_count,
    format_megabytes,
    format_milliseconds,
    format_percent,
    format_score,
    format_significant,
)

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The upper limits on a row's costs, in its costliest seed, and the lower limit on its quality; None: no limit.

    Args:
        max_memory_bytes: GPU memory of training above the baseline if CUDA was used, else the process's memory.
        max_minutes: of training alone.
        max_checkpoint_bytes: of the files with the trained parameters.
        max_latency_seconds: of one call for one example, before any merging.
        min_quality: of the mean ranking score; if lower is better, the highest acceptable value.
        mergeable: the tuned model can be merged into a plain transformers model.
        within: how far below the best mean the cheapest row may be; None: the best mean is taken.
    """

    max_memory_bytes: float | None = None
    max_minutes: float | None = None
    max_checkpoint_bytes: float | None = None
    max_latency_seconds: float | None = None
    min_quality: float | None = None
    mergeable: bool = False
    within: float | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a study recommends under a budget.

    Args:
        row: the fitting row with the best mean, or the cheapest within a distance of it; None if no row fits.
        best: the fitting row with the best mean.
        rivals: the other fitting rows of which one may be the best, with 95 % confidence.
        missed: {row: descriptions of the limits it misses}, empty for rows that fit.
        nearest: the row that misses the fewest limits and, among these, by the smallest share.
    """

    comparison: Comparison
    budget: Budget
    row: MethodRow | None
    best: MethodRow | None
    rivals: tuple[MethodRow, ...]
    missed: Mapping[str, Sequence[str]]
    nearest: MethodRow


def parse_size(text: str) -> float:
    """Parse a size such as "8GiB", "8 GB" or "500MB" into bytes.

    Raises:
        UserError: not a positive number with a unit.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]+)\s*", text, flags=re.IGNORECASE)
    if found is None or found[2].upper() not in UNITS or float(found[1]) <= 0:
        raise UserError(f"{text!r} is not a size; expected a number above 0 with a unit, such as 8GiB, 8GB or 500MB.")
    return float(found[1]) * UNITS[found[2].upper()]


def choose(comparison: Comparison, budget: Budget) -> Choice:
    """Return the row with the best mean among those that fit, or the cheapest within the budget's distance of it.

    Raises:
        UserError: no finished row has a score.
    """
    score = comparison.ranking_score or ""
    rows = [row for row in comparison.finished_rows if math.isfinite(row.figures.get(score, math.nan))]
    if not rows:
        raise UserError("no finished run has a score, so there is nothing to choose from; run the study first.")
    missed = {row.row: list(_misses(comparison, budget, row)) for row in rows}
    fitting = [row for row in rows if not missed[row.row]]
    greater = bool(ranking_column(comparison).greater_is_better)
    ranked = comparison.ranked(score, greater_is_better=greater, rows=fitting)
    best = ranked[0] if ranked else None
    row = _cheapest_within(ranked, score, budget.within) if budget.within is not None else best
    members = comparison.best_set_of(fitting) if best else ()
    return Choice(
        comparison=comparison,
        budget=budget,
        row=row,
        best=best,
        rivals=tuple(other for other in ranked if other.row in members and other is not row),
        missed={row: [words for _, words in found] for row, found in missed.items()},
        nearest=min(
            rows, key=lambda row: (len(missed[row.row]), max((part for part, _ in missed[row.row]), default=0))
        ),
    )


def _cheapest_within(ranked: Sequence[MethodRow], score: str, within: float) -> MethodRow | None:
    near = [row for row in ranked if not _exceeds(abs(row.figures[score] - ranked[0].figures[score]), within)]
    return min(near, key=lambda row: row.cost, default=None)


def describe_choice(choice: Choice) -> Iterator[str]:
    """Yield sentences: the recommended method and its evidence, or the nearest method if none fits."""
    comparison, row = choice.comparison, choice.row
    if row is None:
        missed = "; ".join(choice.missed[choice.nearest.row])
        nearest = choice.nearest
        yield f"No method fits. The nearest is {nearest.label}, with {_describe(comparison, nearest)}; but {missed}."
        return
    yield f"Recommended: {row.label}, with {_describe(comparison, row)}."
    if choice.best is not None and row is not choice.best:
        yield f"It is the cheapest whose mean is within {choice.budget.within:g} of {choice.best.label}'s."
        if price := describe_price(comparison, row, choice.best):
            yield price
    yield from _describe_quality(choice, row)
    for rival in choice.rivals:
        pair = comparison.pair(rival.row, row.row)
        evidence = f"{write_pair(pair)}; " if pair is not None else ""
        yield f"{rival.label} also fits and may be the best: {evidence}{_costs(comparison, rival)}."
    if choice.budget.max_latency_seconds is not None:
        yield "Latencies are medians of a few calls; near the limit, measure again."
    for other in _better_ones(choice, row):
        yield f"{other.label} has a better mean but does not fit: {'; '.join(choice.missed[other.row])}."
    yield from describe_caveats(comparison)


def summarize_choices(choices: Sequence[Choice]) -> str:
    """Name the row that is recommended, or may be as good as the recommended one, in most studies."""
    counts = Counter(row.row for choice in choices if choice.row for row in (choice.row, *choice.rivals))
    most = max(counts.values(), default=0)
    names = " and ".join(row for row, count in counts.items() if count == most)
    if not names:
        return "No method fits in any of the studies."
    return f"{names}: recommended, or one of those that may be the best, in {most} of {len(choices)} studies."


def is_mergeable(row: MethodRow) -> bool:
    """Whether the row's model can become a plain transformers model; a row that trains nothing has nothing to merge."""
    if row.floor or row.record is None:
        return False
    virtual_tokens = row.record.config.get("method", {}).get("num_virtual_tokens")  # cannot be merged into weights
    return get_method(row.record.method).mergeable and not virtual_tokens


def _misses(comparison: Comparison, budget: Budget, row: MethodRow) -> Iterator[tuple[float, str]]:
    """Yield each limit that a row misses: by what share of the limit, infinite if unknown, and a description."""
    memory, quality = _most(row, memory_column(comparison).key), row.figures[comparison.ranking_score or ""]
    time = _most(row, TRAIN_TIME.key)
    if budget.max_memory_bytes is not None and not memory <= budget.max_memory_bytes:
        yield _miss("memory", memory, budget.max_memory_bytes, _write_memory(memory))
    if budget.max_minutes is not None and not time <= 60 * budget.max_minutes:
        yield _miss("training", time, 60 * budget.max_minutes, _write_minutes(time))
    checkpoint, delay = _most(row, CHECKPOINT.key), _most(row, LATENCY.key)
    if budget.max_checkpoint_bytes is not None and not checkpoint <= budget.max_checkpoint_bytes:
        yield _miss("checkpoint", checkpoint, budget.max_checkpoint_bytes, _write_memory(checkpoint))
    if budget.max_latency_seconds is not None and not delay <= budget.max_latency_seconds:
        yield _miss("latency", delay, budget.max_latency_seconds, f"{format_milliseconds(delay)} ms")
    if budget.min_quality is not None:
        column = ranking_column(comparison)
        sign = -1 if column.greater_is_better else 1
        if _exceeds(sign * quality, sign * budget.min_quality):
            yield _miss(column.title, quality, budget.min_quality, format_score(quality))
    if budget.mergeable and not is_mergeable(row):
        why = "it trains nothing that could be merged" if row.floor else "it cannot be merged into a plain model"
        yield math.inf, why


def _exceeds(value: float, limit: float) -> bool:
    """Whether a number is above a limit by more than the rounding errors of a mean."""
    return value > limit and not math.isclose(value, limit, rel_tol=1e-9)


def _miss(name: str, value: float, limit: float, written: str) -> tuple[float, str]:
    if not math.isfinite(value):
        return math.inf, f"its {name} is unknown"
    part = abs(value - limit) / abs(limit) if limit else math.inf
    side = "over" if value > limit else "under"
    share = f"{format_percent(part)} " if limit else ""
    return part, f"its {name} is {written}, {share}{side} the limit"


def _most(row: MethodRow, key: str) -> float:
    """Return the cost of the row's costliest seed; 0 if the row is not trained, nan if the cost is unknown."""
    return float(
        max((run.figures.get(key, 0.0 if row.floor else math.nan) for run in row.finished_runs), default=math.nan)
    )


def _better_ones(choice: Choice, row: MethodRow) -> list[MethodRow]:
    """Return the rows with a better mean than the chosen one; none of them fits."""
    column = ranking_column(choice.comparison)
    sign = 1 if column.greater_is_better else -1
    others = [other for other in choice.comparison.rows if choice.missed.get(other.row)]
    return [other for other in others if sign * (other.figures[column.key] - row.figures[column.key]) > 0]


def _describe_quality(choice: Choice, row: MethodRow) -> Iterator[str]:
    """Yield whether the row may miss the quality that the budget asks for."""
    column, wanted = ranking_column(choice.comparison), choice.budget.min_quality
    if wanted is None:
        return
    interval = row.intervals.get(column.key)
    if interval is None or interval.low is None or interval.high is None:
        yield f"It has no interval, so it may miss {format_score(wanted)} on other examples."
    elif interval.low < wanted if column.greater_is_better else interval.high > wanted:
        yield f"Its interval extends beyond {format_score(wanted)}: it may miss that quality."


def _describe(comparison: Comparison, row: MethodRow) -> str:
    return f"{write_score(comparison, row)}; {_costs(comparison, row)}"


def _costs(comparison: Comparison, row: MethodRow) -> str:
    memory = _write_memory(_most(row, memory_column(comparison).key))
    kind = "GPU memory" if has_cuda(comparison) else "memory"
    parameters = format_count(row.figures.get(PARAMETERS.key, 0 if row.floor else None))
    return (
        f"{_write_minutes(_most(row, TRAIN_TIME.key))} of training, {memory} of {kind}, {parameters} trained parameters"
    )


def _write_memory(num_bytes: float) -> str:
    return f"{format_megabytes(num_bytes)} MB"


def _write_minutes(seconds: float) -> str:
    return f"{format_significant(seconds / 60)} min" if math.isfinite(seconds) else "an unknown time"
