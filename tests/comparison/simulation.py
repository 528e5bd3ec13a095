"""How often intervals cover, equal methods seem to differ, and the best set holds the best, in simulated studies.

python tests/comparison/simulation.py     # a thousand studies of every setting, some minutes
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy.special import ndtr, ndtri

from hf_peft_compare.comparison.best_set import find_best_set
from hf_peft_compare.comparison.crossed_effects import LEVEL, Floats, estimate_difference, take_apart
from hf_peft_compare.comparison.example_scores import ExampleScores
from hf_peft_compare.comparison.intervals import bounds_of, mean_interval
from hf_peft_compare.comparison.pairwise import adjust_by_holm

ALPHA = 1 - LEVEL
BATCH = 100
UNLIKE = (0.0, 0.002, 0.03, 0.3, 1.0)  # variances between seeds, from a method without any to one that varies much


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Studies of methods; variances are relative to that between examples.

    Args:
        seed_variances: of every method.
        correlation: of the example effects of two methods.
        means: of every method; None: equal.
        collapsing: the probability of a seed of the first method to fall by 3; its mean falls by 3 times that.
    """

    num_seeds: int
    seed_variances: Sequence[float]
    correlation: float
    rest_variance: float = 0.5
    num_examples: int = 100
    means: Sequence[float] | None = None
    collapsing: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """Shares of pairs whose interval covers, of studies with a false alarm, and of studies whose set holds the best.

    Args:
        out_of_set, by_holm: the shares of the worse methods that leave the set, and that Holm tells from the best.
    """

    covers: float
    alarms: float
    holds_best: float
    out_of_set: float
    by_holm: float


def simulate(setting: Setting, *, num_studies: int, rng: np.random.Generator) -> Found:
    """Simulate studies; the first method has the highest mean."""
    methods = len(setting.seed_variances)
    truth = np.array(setting.means or [0.0] * methods)
    pairs = list(combinations(range(methods), 2))
    rows = [str(method) for method in range(methods)]
    covered, alarms, holds, out, told = [], [], [], [], []
    for _ in range(num_studies // BATCH):
        parts = [take_apart(scores) for scores in np.moveaxis(draw(setting, BATCH, rng), 1, 0)]
        found = {pair: estimate_difference(parts[pair[0]], parts[pair[1]]) for pair in pairs}
        for (one, other), estimate in found.items():
            low, high = estimate.bounds()
            covered.append((low <= truth[one] - truth[other]) & (truth[one] - truth[other] <= high))
        p_values = np.stack([found[pair].p_value for pair in pairs], axis=-1)
        differences = np.stack([found[pair].mean for pair in pairs], axis=-1)
        for study, gaps in zip(p_values, differences, strict=True):
            significant = np.array(adjust_by_holm(study)) < ALPHA
            best = find_best_set(rows, one_sided(pairs, study, gaps))
            alarms.append(significant.any())
            holds.append("0" in best)
            out.append((methods - 1 - len(set(best) - {"0"})) / (methods - 1))
            told.append(
                np.mean([s and g > 0 for (one, _), s, g in zip(pairs, significant, gaps, strict=True) if not one])
            )
    return Found(
        covers=float(np.mean(covered)),
        alarms=float(np.mean(alarms)),
        holds_best=float(np.mean(holds)),
        out_of_set=float(np.mean(out)),
        by_holm=float(np.mean(told)),
    )


def one_sided(
    pairs: Sequence[tuple[int, int]], p_values: Floats, differences: Floats
) -> Callable[[str, str], float | None]:
    """Return the function that `find_best_set` takes, of one study."""
    known = {}
    for (one, other), p_value, gap in zip(pairs, p_values, differences, strict=True):
        known[str(one), str(other)] = p_value / 2 if gap > 0 else 1 - p_value / 2
        known[str(other), str(one)] = 1 - known[str(one), str(other)]
    return lambda row, other: known[row, other]


def draw(setting: Setting, num_studies: int, rng: np.random.Generator) -> Floats:
    """Draw scores [studies, methods, seeds, examples]."""
    methods, seeds, examples = len(setting.seed_variances), setting.num_seeds, setting.num_examples
    shared = rng.standard_normal((num_studies, 1, 1, examples)) * np.sqrt(setting.correlation)
    own = rng.standard_normal((num_studies, methods, 1, examples)) * np.sqrt(1 - setting.correlation)
    spreads = np.sqrt(np.array(setting.seed_variances))[:, None, None]
    seed_effects = rng.standard_normal((num_studies, methods, seeds, 1)) * spreads
    rest = rng.standard_normal((num_studies, methods, seeds, examples)) * np.sqrt(setting.rest_variance)
    scores = shared + own + seed_effects + rest + np.array(setting.means or [0.0] * methods)[:, None, None]
    fallen = rng.random((num_studies, seeds, 1)) < setting.collapsing
    scores[:, 0] -= 3 * (fallen - setting.collapsing)
    return scores


def _accuracy(chance: float) -> Callable[[Floats], Floats]:
    return lambda latent: (latent < ndtri(chance)).astype(float)


# What becomes of a standard normal variable, and the mean of that.
KINDS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "accuracy .5": (_accuracy(0.5), 0.5),
    "accuracy .9": (_accuracy(0.9), 0.9),
    "accuracy .99": (_accuracy(0.99), 0.99),
    "like ROUGE": (lambda latent: ndtr(latent) ** 2, 1 / 3),
    "test_loss, skewed": (np.exp, float(np.exp(0.5))),
    "normal": (lambda latent: latent, 0.0),
}


@dataclass(frozen=True, kw_only=True)
class Single:
    """Studies of one method: the kind of its scores, and the variance between seeds relative to that of examples."""

    kind: str
    num_seeds: int
    num_examples: int
    seed_variance: float


def cover_single(single: Single, *, num_studies: int, rng: np.random.Generator) -> float:
    """Return how often the interval of one row's mean covers; every bound must lie within the score's range."""
    transform, truth = KINDS[single.kind]
    seeds, examples = single.num_seeds, single.num_examples
    parts = np.array([single.seed_variance, 1.0, 0.5])  # seeds, examples, rest
    spreads = np.sqrt(parts / parts.sum())
    covered = []
    for _ in range(num_studies):
        latent = (
            rng.standard_normal((seeds, 1)) * spreads[0]
            + rng.standard_normal((1, examples)) * spreads[1]
            + rng.standard_normal((seeds, examples)) * spreads[2]
        )
        values = transform(latent)
        ids = tuple(map(str, range(examples)))
        scores = ExampleScores(ids=ids, values=values, weights=np.ones_like(values), num_examples=examples)
        low, high = bounds_of(single.kind, scores) if single.kind != "normal" else (-np.inf, np.inf)
        interval = mean_interval(scores, scope="", bounds=(low, high))
        assert interval.low is not None and interval.high is not None and low <= interval.low <= interval.high <= high
        covered.append(interval.low <= truth <= interval.high)
    return float(np.mean(covered))


def singles() -> list[Single]:
    """List the settings of one method; with one seed an interval is of that seed, so seeds do not vary there."""
    grid = product(KINDS, (1, 3, 5), (150, 300, 3000), (0.0, 0.02, 1.0))
    return [
        Single(kind=kind, num_seeds=seeds, num_examples=examples, seed_variance=variance)
        for kind, seeds, examples, variance in grid
        if seeds > 1 or not variance
    ]


def equal_methods() -> list[Setting]:
    """List settings of five methods alike."""
    grid = product((3, 5, 10), (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), (0.0, 0.5, 0.9))
    return [
        Setting(num_seeds=seeds, seed_variances=[variance] * 5, correlation=correlation)
        for seeds, variance, correlation in grid
    ]


def unlike_methods() -> list[Setting]:
    """List settings of methods whose seeds vary unlike each other, with 3, 5 and 10 rows."""
    variances = {3: [UNLIKE[0], UNLIKE[2], UNLIKE[4]], 5: list(UNLIKE), 10: list(UNLIKE) * 2}
    return [
        Setting(num_seeds=seeds, seed_variances=variances[rows], correlation=0.5)
        for seeds, rows in product((2, 3, 5, 10), (3, 5, 10))
    ]


def one_best() -> list[Setting]:
    """List settings of one best method and four worse ones."""
    return [
        Setting(num_seeds=seeds, seed_variances=[variance] * 5, correlation=0.5, means=[0.4, 0, 0, 0, 0])
        for seeds, variance in product((3, 5), (0.0, 0.03, 0.1))
    ]


def collapses() -> list[Setting]:
    """List settings of a method of which one seed in five falls to chance."""
    return [
        Setting(num_seeds=seeds, seed_variances=[0.01] * 2, correlation=0.5, collapsing=0.2) for seeds in (3, 5, 10)
    ]


def main() -> None:
    """Print what is found in every setting."""
    rng = np.random.default_rng(0)
    for settings in (equal_methods, unlike_methods, one_best, collapses):
        print(f"{settings.__name__}")
        for setting in settings():
            print(f"  {simulate(setting, num_studies=1000, rng=rng)}: {setting}", flush=True)
    for single in singles():
        print(f"  covers {cover_single(single, num_studies=1000, rng=rng):.3f}: {single}", flush=True)


if __name__ == "__main__":
    main()
