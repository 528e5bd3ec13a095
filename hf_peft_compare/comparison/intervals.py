"""Intervals that say what they speak of, and are silent where the data cannot tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hf_peft_compare.comparison.crossed_effects import Estimate, Floats, estimate_mean, take_apart
from hf_peft_compare.comparison.example_scores import ExampleScores

TOO_FEW_SEEDS = 2  # simulated intervals hold their 95 % from three on
FEW_EXAMPLES = 30  # from here on a mean of anything is near enough to normal
NO_VARIANCE = 1e-12  # what rounding leaves of a variance of zero


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A 95 % interval of a mean; `low` and `high` are None where `reason` says why there is none.

    Args:
        scope: what the interval speaks of, e.g. "over 300 test examples, for this seed only".
    """

    num_examples: int
    scope: str
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None


def mean_interval(scores: ExampleScores, *, scope: str) -> Interval:
    """Give the interval of a row's mean over its seeds and examples."""
    reason = why_unknown(scores.per_example)
    unknown = Interval(num_examples=len(scores.ids), scope=scope, reason=reason or "every example has the same value")
    return unknown if reason else bounded(unknown, estimate_mean(take_apart(scores.linear)))


def bounded(unknown: Interval, estimate: Estimate) -> Interval:
    """Give an interval the bounds of an estimate, unless nothing varies: what is constant would seem certain."""
    if not estimate.standard_error > NO_VARIANCE:
        return unknown
    low, high = estimate.bounds()
    return replace(unknown, low=float(low), high=float(high), reason=None)


def why_unknown(per_example: Floats) -> str | None:
    """Say why scores [S, N] allow no interval; None where they do."""
    if per_example.shape[-1] < 2:
        return "fewer than 2 examples"
    if not np.isfinite(per_example).all():
        return "not a finite number for every example"
    return None


def describe_scope(num_examples: int, num_seeds: int | None) -> str:
    """Say what an interval speaks of.

    Args:
        num_seeds: None where nothing is trained, so that no seed matters.
    """
    over = f"over {num_examples:,} test examples"
    if num_seeds is None:
        return over
    if num_seeds == 1:
        return f"{over}, for this seed only"
    return f"{over} and {num_seeds} seeds" + (", too few to hold 95 %" if num_seeds <= TOO_FEW_SEEDS else "")
