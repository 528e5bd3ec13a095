"""Confidence intervals that state their scope, and are None where the data does not determine them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hf_peft_compare.comparison.crossed_effects import Estimate, Floats, estimate_mean, take_apart
from hf_peft_compare.comparison.example_scores import ExampleScores

TOO_FEW_SEEDS = 2  # in simulations, intervals reach 95 % coverage from three seeds on
FEW_EXAMPLES = 30  # from this number on, means of any scores are close enough to normally distributed
NO_VARIANCE = 1e-12  # rounding errors stay below this if the variance is zero


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A 95 % interval of a mean; if there is none, `low` and `high` are None and `reason` states why.

    Args:
        scope: what the interval covers, e.g. "over 300 test examples, for this seed only".
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
    """Return the interval of a row's mean over its seeds and examples."""
    reason = why_unknown(scores.per_example)
    unknown = Interval(num_examples=len(scores.ids), scope=scope, reason=reason or "every example has the same value")
    return unknown if reason else bounded(unknown, estimate_mean(take_apart(scores.linear)))


def bounded(unknown: Interval, estimate: Estimate) -> Interval:
    """Return an interval with the bounds of an estimate, or `unknown` if nothing varies, which would look certain."""
    if not estimate.standard_error > NO_VARIANCE:
        return unknown
    low, high = estimate.bounds()
    return replace(unknown, low=float(low), high=float(high), reason=None)


def why_unknown(per_example: Floats) -> str | None:
    """Return why scores [S, N] allow no interval, or None if they do."""
    if per_example.shape[-1] < 2:
        return "fewer than 2 examples"
    if not np.isfinite(per_example).all():
        return "not a finite number for every example"
    return None


def describe_scope(num_examples: int, num_seeds: int | None) -> str:
    """Describe what an interval covers.

    Args:
        num_seeds: None if nothing is trained, so that seeds have no effect.
    """
    over = f"over {num_examples:,} test examples"
    if num_seeds is None:
        return over
    if num_seeds == 1:
        return f"{over}, for this seed only"
    return f"{over} and {num_seeds} seeds" + (", too few for 95 % coverage" if num_seeds <= TOO_FEW_SEEDS else "")
