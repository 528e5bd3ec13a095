"""All pairs of rows: paired differences of the ranking score, tested and adjusted for multiple comparisons."""

from __future__ import annotations

from collections.abc import Sequence
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
from hf_peft_compare.comparison.intervals import Interval, bounded, describe_scope, why_unknown
from hf_peft_compare.comparison.rows import MethodRow

ALPHA = 1 - LEVEL
SAME = "the difference is the same on every example"
MOST_SEEDS, MOST_EXAMPLES = 1_000, 10_000_000  # larger studies are not feasible


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The ranking score of one row minus that of another, over the examples that both have.

    None means unknown; `interval.reason` states why. The interval is for this pair alone; the p-values of all pairs
    are adjusted together.

    Args:
        adjusted_p_value: by Holm's method over all pairs of rows.
        effect_size: the mean over the standard deviation, between examples, of the paired differences (each example's
            mean over seeds).
        improvement: the win rate: how often `row` is better than `other` on the same example, over all pairs of their
            seeds; ties count half (the probability of improvement of Agarwal et al. (2021), arXiv:2108.13264,
            section 4.3).
        detectable: the minimum detectable difference: the true difference that this study detects with a power of
            80 %, at Holm's strictest step.
        num_seeds_needed, num_examples_needed: seeds, or test examples, with which `mean` would be detectable while the
            other number stays the same; None: that number alone is not enough.
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


def compare_pairs(rows: Sequence[MethodRow], *, greater_is_better: bool) -> tuple[PairedDifference, ...]:
    """Compare all pairs of rows that have scores."""
    chosen = list(combinations([row for row in rows if row.examples is not None], 2))
    pairs = [
        compare_pair(row, other, greater_is_better=greater_is_better, alpha=ALPHA / len(chosen))
        for row, other in chosen
    ]
    known = [number for number, pair in enumerate(pairs) if pair.p_value is not None]
    adjusted = adjust_by_holm([pairs[number].p_value or 0.0 for number in known])
    for number, p_value in zip(known, adjusted, strict=True):
        pairs[number] = replace(pairs[number], adjusted_p_value=p_value)
    return tuple(pairs)


def compare_pair(row: MethodRow, other: MethodRow, *, greater_is_better: bool, alpha: float) -> PairedDifference:
    """Estimate and test one pair; `alpha` is the level at which a difference counts as detectable."""
    assert row.examples is not None and other.examples is not None
    ids = shared_ids(row.examples, other.examples)
    first, second = row.examples.only(ids), other.examples.only(ids)
    seeds = _fewest_seeds(row, other)
    reason = _why_untested(row, other) or why_unknown(np.concatenate([first.per_example, second.per_example]))
    unknown = Interval(num_examples=len(ids), scope=describe_scope(len(ids), seeds), reason=reason or SAME)
    pair = PairedDifference(row=row.row, other=other.row, mean=None, interval=unknown)
    if reason is not None:
        return pair
    parts = take_apart(first.linear), take_apart(second.linear)
    estimate = estimate_difference(*parts)
    interval, wins = bounded(unknown, estimate), improvement(first, second, greater_is_better=greater_is_better)
    pair = replace(pair, mean=float(estimate.mean), interval=interval, improvement=wins)
    if not interval.known:
        return pair
    return replace(
        pair,
        p_value=float(estimate.p_value),
        effect_size=_effect_size(*parts, estimate),
        detectable=float(estimate.detectable(alpha)),
        num_seeds_needed=_num_seeds_needed(*parts, estimate, alpha) if seeds is not None and seeds > 1 else None,
        num_examples_needed=_num_examples_needed(*parts, estimate, alpha),
    )


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm (1979): the k-th smallest of n times n - k + 1, never below the previous one."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1)
    return [float(value) for value in adjusted]


def improvement(first: ExampleScores, second: ExampleScores, *, greater_is_better: bool) -> float:
    """Return the win rate of the first on the same example, over all pairs of seeds; ties count half."""
    ours, theirs = first.per_example[:, None], second.per_example[None]
    above = float((ours > theirs).mean() + (ours == theirs).mean() / 2)
    return above if greater_is_better else 1 - above


def _why_untested(row: MethodRow, other: MethodRow) -> str | None:
    """Return why two rows cannot be paired: different test data, even if the ids match. None if they can."""
    return "scored on different test data" if len(row.test_data | other.test_data) > 1 else None


def _fewest_seeds(row: MethodRow, other: MethodRow) -> int | None:
    """Return the smaller number of seeds among the trained rows of a pair, or None if neither is trained."""
    return min((len(member.finished_runs) for member in (row, other) if not member.floor), default=None)


def _effect_size(first: Parts, second: Parts, estimate: Estimate) -> float | None:
    spread = float((first.example_means - second.example_means).std(ddof=1))
    return float(estimate.mean) / spread if spread > 0 else None


def _num_seeds_needed(first: Parts, second: Parts, estimate: Estimate, alpha: float) -> int | None:
    numbers = np.arange(2.0, MOST_SEEDS + 1)
    found = plan_detectable(first, second, num_seeds=numbers, num_examples=first.num_examples, alpha=alpha)
    return _first_below(numbers, found, estimate)


def _num_examples_needed(first: Parts, second: Parts, estimate: Estimate, alpha: float) -> int | None:
    numbers = np.geomspace(first.num_examples, max(MOST_EXAMPLES, first.num_examples), 500).round()
    return _first_below(numbers, plan_detectable(first, second, num_examples=numbers, alpha=alpha), estimate)


def _first_below(numbers: Floats, detectable: Number, estimate: Estimate) -> int | None:
    enough = np.flatnonzero(np.asarray(detectable) <= abs(estimate.mean))
    return int(numbers[enough[0]]) if len(enough) else None


def _negated(value: float | None) -> float | None:
    return None if value is None else -value
