"""Confidence intervals that state their scope, and are None where the data does not determine them.

The interval of a score between two bounds is symmetric on the logit scale, that of a loss on the logarithmic scale:
near a bound, the plain interval crosses it and covers too little (63 to 93 % near an accuracy of 1 in place of 95). A
score that is at its bound on every example has the exact interval of Clopper and Pearson (1934), Biometrika 26.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, expit, logit

from hf_peft_compare.comparison.crossed_effects import LEVEL, Estimate, Floats, estimate_mean, take_apart
from hf_peft_compare.comparison.example_scores import ExampleScores, is_loss

TOO_FEW_SEEDS = 2  # in simulations, intervals reach 95 % coverage from three seeds on
FEW_EXAMPLES = 30  # below this, the mean of scores that are far from normally distributed is so, too
NO_VARIANCE = 1e-12  # of a score's size; rounding errors stay below this if the variance is zero


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval of a mean; if there is none, `low` and `high` are None and `reason` states why.

    Args:
        scope: what the interval covers, e.g. "over 300 test examples, for this seed only".
        level: the confidence level.
    """

    num_examples: int
    scope: str
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    level: float = LEVEL

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None


def mean_interval(
    scores: ExampleScores, *, scope: str, bounds: tuple[float, float] = (-math.inf, math.inf), level: float = LEVEL
) -> Interval:
    """Return the interval of a row's mean over its seeds and examples.

    Args:
        bounds: the lowest and the highest possible value of the score; infinite where there is none.
    """
    reason = why_unknown(scores.per_example)
    unknown = Interval(num_examples=scores.num_examples, scope=scope, level=level, reason=reason)
    if reason:
        return unknown
    estimate, (low, high) = estimate_mean(take_apart(scores.linear)), bounds
    mean = float(estimate.mean)
    if not varies(estimate, scale=float(np.abs(scores.per_example).max())):
        return _at_bound(replace(unknown, reason="every example has the same value"), mean, bounds, len(scores.ids))
    if not low < mean < high:  # a score that does not keep to its range
        low, high = -math.inf, math.inf
    ends = _on_scale(estimate, low, high, level)
    return replace(unknown, low=float(ends[0]), high=float(ends[1]))


def bounds_of(score: str, scores: ExampleScores) -> tuple[float, float]:
    """Return the range of a score: losses are not negative, and a score whose examples are from 0 to 1 is, too.

    Contributions to a score of the whole split, such as F1's, lie outside of its range.
    """
    if is_loss(score):
        return 0.0, math.inf
    return (0.0, 1.0) if scores.contributions or scores.between_0_and_1 else (-math.inf, math.inf)


def varies(estimate: Estimate, *, scale: float) -> bool:
    """Whether an estimate has a standard error beyond the rounding errors of scores as large as `scale`."""
    return bool(estimate.standard_error > NO_VARIANCE * scale)


def why_unknown(per_example: Floats) -> str | None:
    """Return why scores [S, N] allow no interval, or None if they do."""
    if per_example.shape[-1] < 2:
        return "fewer than 2 examples"
    if not np.isfinite(per_example).all():
        return "not a finite number for every example"
    return None


def describe_scope(scores: ExampleScores, num_seeds: int | None, *, what: str = "test examples") -> str:
    """Describe what an interval covers.

    Args:
        num_seeds: None if seeds have no effect.
        what: the examples.
    """
    number = f"{scores.num_examples:,} {what}"
    over = (
        f"over {number}" if len(scores.ids) == scores.num_examples else f"over {len(scores.ids):,} clusters of {number}"
    )
    if num_seeds is None:
        return over
    if num_seeds == 1:
        return f"{over}, for this seed only"
    return f"{over} and {num_seeds} seeds" + (", too few for 95 % coverage" if num_seeds <= TOO_FEW_SEEDS else "")


def _on_scale(estimate: Estimate, low: float, high: float, level: float) -> tuple[float, float]:
    """Return the ends of an interval that is symmetric on the scale on which the score has no bounds."""
    mean, error = float(estimate.mean), float(estimate.standard_error)
    if math.isfinite(low) and math.isfinite(high):
        share = (mean - low) / (high - low)
        scaled = replace(estimate, mean=logit(share), standard_error=error / (high - low) / (share * (1 - share)))
        ends = [low + (high - low) * float(expit(end)) for end in scaled.bounds(level)]
    elif math.isfinite(low):
        scaled = replace(estimate, mean=math.log(mean - low), standard_error=error / (mean - low))
        ends = [low + math.exp(float(end)) if end < 700 else math.inf for end in scaled.bounds(level)]
    else:
        ends = [float(end) for end in estimate.bounds(level)]
    return ends[0], ends[1]


def _at_bound(unknown: Interval, mean: float, bounds: tuple[float, float], number: int) -> Interval:
    """Return the exact interval of a score that is at a bound on all examples; `unknown` if it is elsewhere."""
    low, high = bounds
    if not math.isfinite(high - low) or mean not in bounds:
        return unknown
    rare = float(betaincinv(1, number, unknown.level / 2 + 0.5)) * (high - low)  # the share that may still be hidden
    ends = (low, low + rare) if mean == low else (high - rare, high)
    return replace(unknown, low=ends[0], high=ends[1], reason=None)
