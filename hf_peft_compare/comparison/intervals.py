"""Percentile bootstrap intervals over test examples: seeded, vectorised, and silent where the data cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
NUM_RESAMPLES = 2000
BLOCK = 250  # resamples held at once: 250 x 25,000 examples in float64 are 50 MB
SEED = 20240

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A 95 % interval of a mean over examples; `low` and `high` are None where `reason` says why there is none.

    Args:
        scope: what the interval speaks of, e.g. "over 300 test examples, for this seed only".
    """

    low: float | None
    high: float | None
    num_examples: int
    scope: str
    reason: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None

    def overlaps(self, other: Interval) -> bool | None:
        """Whether two intervals share a point; None where one of them is not known."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return None
        return self.low <= other.high and other.low <= self.high

    def holds(self, value: float) -> bool | None:
        """Whether a value lies inside; None where the interval is not known."""
        return None if self.low is None or self.high is None else self.low <= value <= self.high


def bootstrap_intervals(values: Floats, *, weights: Floats | None = None, scope: str) -> list[Interval]:
    """Give the interval of every column's (weighted) mean; all columns see the same resampled examples.

    Args:
        values: [N, S], one row per example; a weighted column holds sums, e.g. nats.
        weights: [N, S], what each sum is divided by, e.g. tokens; None: the plain mean.
    """
    weights = np.ones_like(values) if weights is None else weights
    reasons = [_why_unknown(values[:, column], weights[:, column]) for column in range(values.shape[1])]
    known = [column for column, reason in enumerate(reasons) if reason is None]
    bounds = np.full((2, values.shape[1]), np.nan)
    if known:
        means = _resampled_means(values[:, known], weights[:, known])
        bounds[:, known] = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)
    return [
        Interval(
            low=float(low) if reason is None else None,
            high=float(high) if reason is None else None,
            num_examples=len(values),
            scope=scope,
            reason=reason,
        )
        for low, high, reason in zip(*bounds, reasons, strict=True)
    ]


def _why_unknown(values: Floats, weights: Floats) -> str | None:
    """Say why a column has no interval: constants first, since resampling would call them certain."""
    if len(values) < 2:
        return "fewer than 2 examples"
    if not np.isfinite(values).all() or not (weights > 0).all():
        return "not a finite number for every example"
    if np.ptp(values / weights) == 0:
        return "every example has the same value"
    return None


def _resampled_means(values: Floats, weights: Floats) -> Floats:
    """Give the [R, S] means of R resamples with replacement."""
    means = []
    for counts in _resample_counts(len(values)):
        block = counts.astype(float)
        means.append((block @ values) / (block @ weights))
    return np.concatenate(means)


@lru_cache(maxsize=2)
def _resample_counts(num_examples: int) -> tuple[NDArray[np.uint8], ...]:
    """Give R resamples as how often each holds each example, in blocks of [BLOCK, N].

    The same for every score and row of N examples, which keeps them paired and is drawn once. A count above 255
    does not happen: for N of a million its probability is below 1e-500.
    """
    rng = np.random.default_rng(SEED)
    first_bins = np.arange(BLOCK)[:, None] * num_examples  # resample b counts its examples in bins b * N to (b + 1) * N
    blocks = []
    for _ in range(NUM_RESAMPLES // BLOCK):
        drawn = rng.integers(num_examples, size=(BLOCK, num_examples))
        counts = np.bincount((drawn + first_bins).ravel(), minlength=BLOCK * num_examples)
        blocks.append(counts.reshape(BLOCK, num_examples).astype(np.uint8))
    return tuple(blocks)
