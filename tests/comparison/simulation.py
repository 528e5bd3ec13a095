"""How often intervals cover, and how often equal methods seem to differ, in simulated studies.

python tests/comparison/simulation.py     # 2,000 studies of every setting, about a minute
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from hf_peft_compare.comparison.crossed_effects import LEVEL, Floats, estimate_difference, take_apart
from hf_peft_compare.comparison.pairwise import adjust_by_holm

ALPHA = 1 - LEVEL
BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Studies of equal methods; variances are relative to that between examples.

    Args:
        seed_variances: of every method.
        correlation: of the example effects of two methods.
        binary: scores are 0 or 1 rather than normal.
    """

    num_seeds: int
    seed_variances: Sequence[float]
    correlation: float
    rest_variance: float = 0.5
    num_examples: int = 100
    binary: bool = False


def simulate(setting: Setting, *, num_studies: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the share of intervals of pairs that cover 0, and of studies with a false alarm over all pairs."""
    covered: list[Floats] = []
    alarms: list[bool] = []
    for _ in range(num_studies // BATCH):
        parts = [take_apart(scores) for scores in np.moveaxis(draw(setting, BATCH, rng), 1, 0)]
        p_values = np.stack([estimate_difference(*pair).p_value for pair in combinations(parts, 2)], axis=-1)
        covered.append(p_values >= ALPHA)
        alarms += [min(adjust_by_holm(study)) < ALPHA for study in p_values]
    return float(np.mean(covered)), float(np.mean(alarms))


def draw(setting: Setting, num_studies: int, rng: np.random.Generator) -> Floats:
    """Draw scores [studies, methods, seeds, examples]."""
    methods, seeds, examples = len(setting.seed_variances), setting.num_seeds, setting.num_examples
    shared = rng.standard_normal((num_studies, 1, 1, examples)) * np.sqrt(setting.correlation)
    own = rng.standard_normal((num_studies, methods, 1, examples)) * np.sqrt(1 - setting.correlation)
    spreads = np.sqrt(np.array(setting.seed_variances))[:, None, None]
    seed_effects = rng.standard_normal((num_studies, methods, seeds, 1)) * spreads
    rest = rng.standard_normal((num_studies, methods, seeds, examples)) * np.sqrt(setting.rest_variance)
    scores = shared + own + seed_effects + rest
    return (scores > 0.5).astype(float) if setting.binary else scores


def required_settings() -> list[Setting]:
    """List the settings in which 95 % intervals must cover 93.5 to 96.5 % and false alarms stay within .065."""
    grid = product((3, 5, 10), (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), (0.0, 0.5, 0.9))
    return [
        Setting(num_seeds=seeds, seed_variances=[variance] * 5, correlation=correlation)
        for seeds, variance, correlation in grid
    ]


def further_settings() -> list[Setting]:
    """List harder ones: two seeds, methods unlike each other, many methods, few examples, right or wrong answers."""
    unlike, ten = [0.0, 0.0, 0.01, 0.1, 1.0], [0.1] * 10
    return [
        *(Setting(num_seeds=seeds, seed_variances=[0.1] * 5, correlation=0.5, binary=True) for seeds in (3, 5)),
        *(Setting(num_seeds=seeds, seed_variances=[0.1] * 5, correlation=0.5, num_examples=20) for seeds in (3, 5)),
        *(Setting(num_seeds=seeds, seed_variances=unlike, correlation=0.5) for seeds in (2, 3, 5)),
        *(Setting(num_seeds=seeds, seed_variances=ten, correlation=0.5) for seeds in (2, 3, 5)),
    ]


def main() -> None:
    """Print coverage and false alarms of every setting, then the extremes of the required ones."""
    rng = np.random.default_rng(0)
    found = []
    for settings in (required_settings(), further_settings()):
        for setting in settings:
            found.append(simulate(setting, num_studies=2000, rng=rng))
            print(f"covers {100 * found[-1][0]:.1f} %, false alarms {found[-1][1]:.3f}: {setting}", flush=True)
    required = found[: len(required_settings())]
    covers, alarms = zip(*required, strict=True)
    print(f"required settings: {100 * min(covers):.1f} to {100 * max(covers):.1f} %, alarms to {max(alarms):.3f}")


if __name__ == "__main__":
    main()
