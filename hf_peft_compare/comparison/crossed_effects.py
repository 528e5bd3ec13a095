"""The crossed random-effects model of seeds and examples: uncertainty of a mean, or of a difference of means.

    score[method, seed, example] = mean[method] + seed effect[method, seed] + example effect[method, example] + rest

Every seed is scored on every example (crossed), the examples are the same for all methods (paired), and the seeds of
two methods are independent draws, even if their numbers are the same. The variance of a difference of means is

    sum over both methods of s²(seed means) / S  +  var(example's differences of means over seeds) / N  -  noise / N

where noise, the sum of mean square of the rest / S, is part of both other terms and must count once. Its expectation
is exact.
Intervals and tests use a t distribution with Satterthwaite's degrees of freedom and two changes, both found by
simulation:

- the seed component counts double (SEEDS_WEIGHT), since with few seeds a small estimate of it is more often due to
  chance than to a small true variance;
- the degrees of freedom of the seed component are (sum v)² / sum(v² / S) - 1: from S - 1 if only one method varies
  between seeds to 2 S - 1 if both vary equally, since Welch's are conservative there.

The degrees of freedom are at least the fewest seeds less one. What these intervals and tests hold is measured by
`tests/comparison/simulation.py`, and stated in CLAIMS.

Alternatives that fail with 3 seeds: a t test on seed means (as if the examples were the whole population; covers 73 %
if seeds have no effect), a t test on examples alone (18 % if they do), percentiles over resampled seeds and examples
(79 %), Satterthwaite's degrees of freedom unchanged (92.3 %), one variance pooled over both methods (89 %), Cochran's
weighted quantiles and the Behrens-Fisher distribution (98 to 99 %).

With one seed there is no seed component: an estimate then holds for that seed only, and equals the paired t test.
Sources: Satterthwaite (1946), Biometrics Bulletin 2; Welch (1938), Biometrika 29; Owen (2007), Annals of Applied
Statistics 1, on variances of crossed data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, nctdtr, stdtr, stdtrit  # scipy.stats takes seconds to import

LEVEL = 0.95
POWER = 0.8
SEEDS_WEIGHT = 2
# As measured in 1,000 simulated studies of each setting; reports show it.
CLAIMS = (
    "In simulated studies with three seeds or more, intervals of differences cover 93.5 to 97 %, those of a single row "
    "92 to 99 % (80 to 92 % near an accuracy of 1 if seeds vary as much as examples). Where all methods have the same "
    "true mean, some pair differs significantly in at most 6.1 % of the studies if seeds of all vary alike; if they "
    "vary unlike each other in up to 8.5 % with three seeds and 4.4 % from five on, and in up to 23 % with two. If a "
    "seed in five collapses, which three seeds may not show, intervals cover 53 % with three seeds, 66 % with five, "
    "89 % with ten."
)
MOST_SHIFT = 30.0  # standard errors; a shift of this size is found for certain

Floats = NDArray[np.float64]
Number: TypeAlias = float | Floats  # one, or one of each of several resamples


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """The variance components of one method's scores [..., S, N]; numbers are arrays [...] if there are leading axes.

    Args:
        mean: over seeds and examples.
        example_means: [..., N], over seeds.
        seed_variance: s² of the seed means; 0 with one seed.
        rest_variance: mean square of the residual that neither seed nor example explains; 0 with one seed.
    """

    num_seeds: int
    mean: Number
    example_means: Floats
    seed_variance: Number
    rest_variance: Number

    @property
    def num_examples(self) -> int:
        """The number of examples that every seed was scored on."""
        return int(self.example_means.shape[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """A mean with its standard error and degrees of freedom; numbers, or arrays of them."""

    mean: Number
    standard_error: Number
    df: Number

    @property
    def p_value(self) -> Number:
        """Two-sided probability of a mean at least as far from 0 if the true mean is 0."""
        probability: Number = 2 * stdtr(self.df, -np.abs(self.mean) / self.standard_error)
        return probability

    def bounds(self, level: float = LEVEL) -> tuple[Number, Number]:
        """Return the lower and the upper end of the interval."""
        half = stdtrit(self.df, (1 + level) / 2) * self.standard_error
        return self.mean - half, self.mean + half

    def detectable(self, alpha: float = 1 - LEVEL) -> Number:
        """Return the true difference that a two-sided test at `alpha` detects with a probability of about POWER.

        The standard error is itself an estimate: with few degrees of freedom it is often too small, and what follows
        from it as if it were known is found with a probability of .5 to .7 only. So POWER is the average over the
        true standard errors that this one may be an estimate of.
        """
        dfs, factors = _detectable_factors(alpha)
        found: Number = np.interp(np.log(self.df), np.log(dfs), factors) * self.standard_error
        return found


@lru_cache
def _detectable_factors(alpha: float) -> tuple[Floats, Floats]:
    """Return degrees of freedom, and at each of them the detectable difference in estimated standard errors."""
    dfs = np.geomspace(1, 1e5, 60)
    chances = (np.arange(50) + 0.5) / 50
    ratios = np.sqrt(2 * gammaincinv(dfs[:, None] / 2, chances) / dfs[:, None])  # estimated over true standard error
    limits = stdtrit(dfs, 1 - alpha / 2)[:, None]
    low, high = np.zeros_like(dfs), np.full_like(dfs, 1e4)
    for _ in range(50):  # the power rises with the factor
        middle = (low + high) / 2
        power = 1 - nctdtr(dfs[:, None], np.minimum(middle[:, None] * ratios, MOST_SHIFT), limits).mean(1)
        low, high = np.where(power < POWER, middle, low), np.where(power < POWER, high, middle)
    return dfs, high


def take_apart(scores: Floats) -> Parts:
    """Split scores [..., S, N] into the mean, the seed component, the example component and the residual."""
    num_seeds, num_examples = scores.shape[-2:]
    seed_means, example_means = scores.mean(-1), scores.mean(-2)
    mean = seed_means.mean(-1)
    seed_variance = rest_variance = np.zeros_like(mean)
    if num_seeds > 1 and num_examples > 1:
        seed_variance = seed_means.var(-1, ddof=1)
        rest = scores - seed_means[..., None] - example_means[..., None, :] + mean[..., None, None]
        rest_variance = (rest**2).sum((-1, -2)) / ((num_seeds - 1) * (num_examples - 1))
    return Parts(
        num_seeds=num_seeds,
        mean=mean,
        example_means=example_means,
        seed_variance=seed_variance,
        rest_variance=rest_variance,
    )


def estimate_mean(parts: Parts) -> Estimate:
    """Estimate a method's mean over at least two examples."""
    return _estimate(parts.mean, [parts], parts.example_means)


def estimate_difference(first: Parts, second: Parts) -> Estimate:
    """Estimate the mean of `first` minus that of `second`, over the same examples in the same order."""
    return _estimate(first.mean - second.mean, [first, second], first.example_means - second.example_means)


def _estimate(mean: Number, methods: Sequence[Parts], examples: Floats) -> Estimate:
    return combine(
        mean,
        seeds=[parts.seed_variance / parts.num_seeds for parts in methods],
        num_seeds=[parts.num_seeds for parts in methods],
        examples=examples.var(-1, ddof=1),
        noise=sum(parts.rest_variance / parts.num_seeds for parts in methods),
        num_examples=examples.shape[-1],
    )


def combine(
    mean: Number,
    *,
    seeds: Sequence[Number],
    num_seeds: Sequence[Number],
    examples: Number,
    noise: Number,
    num_examples: Number,
) -> Estimate:
    """Combine the variance components of a mean; no variance at all gives nan degrees of freedom.

    Args:
        seeds, num_seeds: for every method, the variance of its mean due to its seeds, and their number.
        examples: variance between examples of the mean over seeds; `noise` is the part of it that is also in `seeds`.
    """
    total = np.asarray(sum(seeds))
    squares = np.asarray(sum(part**2 / number for part, number in zip(seeds, num_seeds, strict=True)))
    share = np.divide(squares, total**2, out=np.zeros_like(squares), where=total > 0)  # 1 / (seeds' own df + 1)
    seeds_term = SEEDS_WEIGHT**2 * squares / (1 - share)
    rest = np.maximum(examples - noise, 0) / num_examples
    with np.errstate(invalid="ignore"):
        df = (SEEDS_WEIGHT * total + rest) ** 2 / (seeds_term + (examples / num_examples) ** 2 / (num_examples - 1))
    # Where the examples' part is cut to 0 while its uncertainty is not, the ratio alone would fall towards 0.
    fewest = np.minimum.reduce(np.broadcast_arrays(*(np.where(np.asarray(n) > 1, n, np.inf) for n in num_seeds)))
    df = np.maximum(df, np.where(np.isfinite(fewest), fewest - 1, 0))
    # The rest alone makes a mean vary by noise / N; estimates of both other parts can fall below that, even to 0.
    return Estimate(mean=mean, standard_error=np.sqrt(np.maximum(total + rest, noise / num_examples)), df=df)


def plan_detectable(
    first: Parts, second: Parts, *, num_seeds: Number | None = None, num_examples: Number, alpha: float = 1 - LEVEL
) -> Number:
    """Return the minimum detectable difference of a study of other sizes with the variances of this one.

    Args:
        num_seeds, num_examples: numbers, or arrays that broadcast. None: the current number of seeds.
    """
    both = (first, second)
    numbers = [parts.num_seeds if num_seeds is None else num_seeds for parts in both]
    effects = [np.maximum(parts.seed_variance - parts.rest_variance / parts.num_examples, 0) for parts in both]
    now = (first.example_means - second.example_means).var(-1, ddof=1)
    examples = np.maximum(now - sum(parts.rest_variance / parts.num_seeds for parts in both), 0)
    noise = sum(parts.rest_variance / number for parts, number in zip(both, numbers, strict=True))
    return combine(
        0.0,
        seeds=[
            (effect + parts.rest_variance / num_examples) / number
            for effect, parts, number in zip(effects, both, numbers, strict=True)
        ],
        num_seeds=numbers,
        examples=examples + noise,
        noise=noise,
        num_examples=num_examples,
    ).detectable(alpha)
