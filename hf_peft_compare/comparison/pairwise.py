"""All pairs of rows: paired differences of the ranking score, tested and adjusted for multiple comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hf_peft_compare.comparison.crossed_effects import (
    LEVEL,
    Estimate,
    Floats,
    Number,
    Parts,
    estimate_difference,
    plan_detectable,
    take_apart,
)
from hf_peft_compare.comparison.example_scores import ExampleScores, shared_ids
from hf_peft_compare.comparison.intervals import Interval, describe_scope, varies, why_unknown
from hf_peft_compare.comparison.rows import MethodRow

ALPHA = 1 - LEVEL
SAME = "the difference is the same on every example"
SAME_MEAN = 1e-9  # a difference below this is due to rounding
MOST_SEEDS, MOST_EXAMPLES = 1_000, 10_000_000  # larger studies are not feasible


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The ranking score of one row minus that of another, over the examples that both have.

    None means unknown; `interval.reason` states why. Intervals and adjusted p-values hold for all pairs at once, and
    agree: the interval contains 0 inside if and only if the pair is not significant.

    Args:
        adjusted_p_value: by Holm's method over all pairs of rows.
        effect_size: the mean over the standard deviation, between examples, of the paired differences (each example's
            mean over seeds).
        improvement: the win rate: how often `row` is better than `other` on the same example, over all pairs of their
            seeds; ties count half (the probability of improvement of Agarwal et al. (2021), arXiv:2108.13264,
            section 4.3).
        detectable: the minimum detectable difference: the true difference that this study detects with a power of
            80 %, at Holm's strictest step; None: none that the score can have.
        num_seeds_needed, num_examples_needed: seeds, or test examples, with which the smallest difference that matters
            would be detectable while the other number stays the same; None: that number alone is not enough.
    """

    row: str
    other: str
    mean: float | None
    interval: Interval
    p_value: float | None = None
    adjusted_p_value: float | None = None
    effect_size: float | None = None
    improvement: float | None = None
    detectable: float | None = None
    num_seeds_needed: int | None = None
    num_examples_needed: int | None = None

    @property
    def significant(self) -> bool:
        """Whether the two rows differ significantly after the adjustment over all pairs."""
        return self.adjusted_p_value is not None and self.adjusted_p_value < ALPHA

    def beats(self, *, greater_is_better: bool) -> float | None:
        """Return the one-sided p-value of `row` being better than `other`; small: it is."""
        if self.p_value is None or self.mean is None:
            return None
        ahead = self.mean > 0 if greater_is_better else self.mean < 0
        return self.p_value / 2 if ahead and self.mean else 1 - self.p_value / 2

    def reversed(self) -> PairedDifference:
        """Return the same pair as `other` minus `row`."""
        low, high = _negated(self.interval.high), _negated(self.interval.low)
        return replace(
            self,
            row=self.other,
            other=self.row,
            mean=_negated(self.mean),
            interval=replace(self.interval, low=low, high=high),
            effect_size=_negated(self.effect_size),
            improvement=None if self.improvement is None else 1 - self.improvement,
        )


def compare_pairs(
    rows: Sequence[MethodRow], *, greater_is_better: bool, smallest_difference: float | None
) -> tuple[PairedDifference, ...]:
    """Compare all pairs of rows that have scores, see `compare_chosen`."""
    pairs = combinations([row for row in rows if row.examples is not None], 2)
    return compare_chosen(pairs, greater_is_better=greater_is_better, smallest_difference=smallest_difference)


def compare_chosen(
    pairs: Iterable[tuple[MethodRow, MethodRow]], *, greater_is_better: bool, smallest_difference: float | None = None
) -> tuple[PairedDifference, ...]:
    """Compare pairs of rows that have scores, and adjust over these.

    Args:
        smallest_difference: the smallest difference that matters, for the numbers of seeds and examples that it needs.
    """
    chosen = [_Pair.of(*two) for two in pairs]
    alpha = ALPHA / max(sum(pair.reason is None for pair in chosen), 1)
    found = [_compare(pair, greater_is_better, alpha, smallest_difference) for pair in chosen]
    known = [number for number, pair in enumerate(found) if pair.p_value is not None]
    adjusted = adjust_by_holm([found[number].p_value or 0.0 for number in known])
    for number, p_value in zip(known, adjusted, strict=True):
        found[number] = _without_zero(replace(found[number], adjusted_p_value=p_value))
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """Two rows and their scores on the examples that both have.

    Args:
        seeds: the smaller number of seeds among the rows that depend on the seed; None if neither does.
        reason: why the rows cannot be paired; None if they can.
    """

    row: MethodRow
    other: MethodRow
    first: ExampleScores
    second: ExampleScores
    seeds: int | None
    reason: str | None

    @classmethod
    def of(cls, row: MethodRow, other: MethodRow) -> _Pair:
        """Return the pair of two rows that have scores."""
        assert row.examples is not None and other.examples is not None
        ids = shared_ids(row.examples, other.examples)
        first, second = row.examples.only(ids), other.examples.only(ids)
        unlike = "scored on different test data" if len(row.test_data | other.test_data) > 1 else None
        return cls(
            row=row,
            other=other,
            first=first,
            second=second,
            seeds=min((len(member.finished_runs) for member in (row, other) if member.seeded), default=None),
            reason=unlike or why_unknown(np.concatenate([first.per_example, second.per_example])),
        )


def _compare(pair: _Pair, greater_is_better: bool, alpha: float, smallest_difference: float | None) -> PairedDifference:
    """Estimate and test one pair; `alpha` is that of an interval that holds for all pairs at once."""
    first, second = pair.first, pair.second
    scope = describe_scope(first, pair.seeds)
    unknown = Interval(num_examples=first.num_examples, scope=scope, reason=pair.reason or SAME, level=1 - alpha)
    found = PairedDifference(row=pair.row.row, other=pair.other.row, mean=None, interval=unknown)
    if pair.reason is not None:
        return found
    parts = take_apart(first.linear), take_apart(second.linear)
    estimate = estimate_difference(*parts)
    wins = improvement(first, second, greater_is_better=greater_is_better)
    found = replace(found, mean=float(estimate.mean), improvement=wins)
    if not varies(estimate, scale=_largest(first, second)):
        # The sign test: all examples agree on which row is better, or none differs.
        return replace(found, p_value=min(1.0, 2 * 0.5 ** len(first.ids)) if abs(found.mean or 0) > SAME_MEAN else 1.0)
    most = _largest_possible(pair, greater_is_better)
    low, high = (min(max(float(end), -most), most) for end in estimate.bounds(1 - alpha))
    detectable = float(estimate.detectable(alpha))
    num_seeds, num_examples = _needs(pair, parts, smallest_difference, alpha) if smallest_difference else (None, None)
    return replace(
        found,
        interval=replace(unknown, low=low, high=high, reason=None),
        p_value=float(estimate.p_value),
        effect_size=_effect_size(*parts, estimate),
        detectable=detectable if detectable <= most else None,
        num_seeds_needed=num_seeds,
        num_examples_needed=num_examples,
    )


def _largest_possible(pair: _Pair, greater_is_better: bool) -> float:
    """Return the largest possible difference: 1 of scores from 0 to 1, infinite of others, and of losses."""
    both = (pair.first, pair.second)
    return 1.0 if greater_is_better and all(s.contributions or s.between_0_and_1 for s in both) else math.inf


def _without_zero(pair: PairedDifference) -> PairedDifference:
    """Cut the interval of a significant pair at 0.

    Holm's method finds more than intervals of one level for all pairs do; it shows on which side of 0 the difference
    is (Strassburger and Bretz (2008), Statistics in Medicine 27), so that interval and decision never disagree.
    """
    low, high = pair.interval.low, pair.interval.high
    if not pair.significant or low is None or high is None or not low < 0 < high:
        return pair
    low, high = (0.0, high) if (pair.mean or 0) > 0 else (low, 0.0)
    return replace(pair, interval=replace(pair.interval, low=low, high=high))


def _needs(pair: _Pair, parts: tuple[Parts, Parts], difference: float, alpha: float) -> tuple[int | None, int | None]:
    """Return the number of seeds, and that of examples, with which a true difference is detectable."""
    first, second = parts
    seeds = np.arange(2.0, MOST_SEEDS + 1)
    units = np.geomspace(first.num_examples, max(MOST_EXAMPLES, first.num_examples), 500).round()
    by_units = plan_detectable(first, second, num_examples=units, alpha=alpha)
    wanted = _first_below(units, by_units, difference)
    num_examples = None if wanted is None else round(wanted * pair.first.num_examples / first.num_examples)
    if pair.seeds is None or pair.seeds < 2:  # one seed does not show how seeds vary
        return None, num_examples
    by_seeds = plan_detectable(first, second, num_seeds=seeds, num_examples=first.num_examples, alpha=alpha)
    return _first_below(seeds, by_seeds, difference), num_examples


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm (1979): the k-th smallest of n times n - k + 1, never below the previous one."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    return [float(value) for value in adjusted]


def improvement(first: ExampleScores, second: ExampleScores, *, greater_is_better: bool) -> float | None:
    """Return the win rate of the first on the same example, over all pairs of seeds; ties count half.

    None for contributions to a score of the whole split, such as F1's, of which one says nothing about its example.
    """
    if first.contributions or second.contributions:
        return None
    ours, theirs = first.per_example[:, None], second.per_example[None]
    above = float((ours > theirs).mean() + (ours == theirs).mean() / 2)
    return above if greater_is_better else 1 - above


def _effect_size(first: Parts, second: Parts, estimate: Estimate) -> float | None:
    spread = float((first.example_means - second.example_means).std(ddof=1))
    return float(estimate.mean) / spread if spread > 0 else None


def _first_below(numbers: Floats, detectable: Number, difference: float) -> int | None:
    enough = np.flatnonzero(np.asarray(detectable) <= difference)
    return int(numbers[enough[0]]) if len(enough) else None


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


def _largest(*scores: ExampleScores) -> float:
    return max(float(np.abs(found.per_example).max()) for found in scores)
