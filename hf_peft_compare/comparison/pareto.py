"""Pareto fronts of quality against cost, with their uncertainty: the share of resamples with a row on the front.

A resample draws random weights for the test examples, the same for all rows (the Bayesian bootstrap: Rubin (1981),
Annals of Statistics 9), and random multipliers of the deviations of each row's seeds, the same for their quality and
cost, under which a mean of S seeds varies by s² / S. What neither seeds nor examples explain is part of the examples'
means, and is taken out of the seeds' deviations so that it counts once. With one seed only the examples vary, and costs
stay as measured. Latency has no front: the median of a few calls is too noisy to rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.columns import LATENCY, FigureColumn, cost_columns, ranking_column
from hf_peft_compare.comparison.crossed_effects import Floats, Parts, take_apart
from hf_peft_compare.comparison.example_scores import ExampleScores
from hf_peft_compare.comparison.rows import MethodRow

NUM_RESAMPLES = 2000
BLOCK = 250  # resamples in memory at a time: 250 x 25,000 examples are 50 MB
SEED = 20240


@dataclass(frozen=True, kw_only=True)
class Front:
    """The front of quality against one cost.

    Args:
        members: rows that no other row dominates, as measured.
        shares: {row: the share of resamples in which it is on the front}; rows without this cost are left out.
    """

    cost: FigureColumn
    members: frozenset[str]
    shares: dict[str, float]


def pareto_fronts(comparison: Comparison) -> list[Front]:
    """Return the front against each cost, over the rows scored on the same examples; [] if there are fewer than two."""
    scores = _scores_on_shared_examples(comparison.finished_rows)
    if len(scores) < 2:
        return []
    rng, sign = np.random.default_rng(SEED), 1 if ranking_column(comparison).greater_is_better else -1
    multipliers = {row: draw_multipliers(len(found.values), NUM_RESAMPLES, rng) for row, found in scores.items()}
    quality = {row: sign * drawn for row, drawn in _resample(scores, multipliers, rng).items()}
    measured = {row: sign * found.linear.mean(keepdims=True)[0] for row, found in scores.items()}
    costs = [column for column in cost_columns(comparison) if column != LATENCY]
    return [_front(cost, comparison, measured, quality, multipliers) for cost in costs]


def _front(
    cost: FigureColumn,
    comparison: Comparison,
    measured: Mapping[str, Floats],
    quality: Mapping[str, Floats],
    multipliers: Mapping[str, Floats],
) -> Front:
    """Return the front as measured, and each row's share of resamples, given quality [R] and multipliers [R, S]."""
    costs = dict(_seed_costs(comparison, list(quality), cost.key))
    now = _on_front(measured, {row: found.mean(keepdims=True) for row, found in costs.items()})
    drawn = {row: found.mean() + multipliers[row] @ (found - found.mean()) for row, found in costs.items()}
    return Front(
        cost=cost,
        members=frozenset(row for row, on in now.items() if on.all()),
        shares={row: float(on.mean()) for row, on in _on_front(quality, drawn).items()},
    )


def find_front(quality: Floats, cost: Floats) -> NDArray[np.bool_]:
    """Return which entries of the last axis are not dominated: none is as good and as cheap, and better in one."""
    better, cheaper = (values[..., None, :] - values[..., :, None] for values in (quality, -cost))  # [..., M, others]
    beaten = (better >= 0) & (cheaper >= 0) & ((better > 0) | (cheaper > 0))
    return np.asarray(~beaten.any(-1))


def draw_multipliers(number: int, num_resamples: int, rng: np.random.Generator) -> Floats:
    """Draw multipliers [R, S] of the deviations of S seeds, whose sum varies by s² / S."""
    if number == 1:
        return np.zeros((num_resamples, 1))
    return np.asarray(rng.standard_normal((num_resamples, number)) / np.sqrt(number * (number - 1)), dtype=np.float64)


def _on_front(quality: Mapping[str, Floats], costs: Mapping[str, Floats]) -> dict[str, NDArray[np.bool_]]:
    """Return {row: the resamples in which it is on the front} for the rows that have the cost."""
    if not costs:
        return {}
    found = find_front(*(np.stack([values[row] for row in costs], axis=-1) for values in (quality, costs)))
    return dict(zip(costs, found.T, strict=True))


def _resample(
    scores: Mapping[str, ExampleScores], multipliers: Mapping[str, Floats], rng: np.random.Generator
) -> dict[str, Floats]:
    """Return the score of every row in every resample, {row: [R]}."""
    parts = {row: take_apart(found.linear) for row, found in scores.items()}
    number = len(next(iter(scores.values())).ids)
    weights = (rng.dirichlet(np.ones(number), size=BLOCK) for _ in range(NUM_RESAMPLES // BLOCK))
    blocks = [[block @ found.example_means for found in parts.values()] for block in weights]
    drawn = dict(zip(parts, np.concatenate(blocks, axis=1), strict=True))
    return {row: drawn[row] + multipliers[row] @ _seed_deviations(scores[row], parts[row]) for row in parts}


def _seed_deviations(scores: ExampleScores, parts: Parts) -> Floats:
    """Return the deviations [S] of the seeds' scores from their mean, without what is due to the rest."""
    means = scores.linear.mean(1)
    total = float(parts.seed_variance)
    own = max(total - float(parts.rest_variance) / parts.num_examples, 0.0)
    return np.asarray((means - means.mean()) * np.sqrt(own / total if total else 0.0), dtype=np.float64)


def _scores_on_shared_examples(rows: Sequence[MethodRow]) -> dict[str, ExampleScores]:
    """Return the scores of the rows with finite scores, on the examples that all of these rows share."""
    found = {row.row: row.examples for row in rows if row.examples is not None and len(row.examples.ids) > 1}
    finite = {row: scores for row, scores in found.items() if np.isfinite(scores.per_example).all()}
    data = frozenset[str]().union(*(row.test_data for row in rows if row.row in finite))
    sets = [set(scores.ids) for scores in finite.values()]
    ids = [key for key in next(iter(finite.values())).ids if all(key in known for known in sets)] if finite else []
    return {row: scores.only(ids) for row, scores in finite.items()} if len(ids) > 1 and len(data) < 2 else {}


def _seed_costs(comparison: Comparison, rows: Sequence[str], key: str) -> Iterator[tuple[str, Floats]]:
    """Yield a cost of every seed [S] of the rows that have it; an untrained row without a figure costs nothing."""
    for row in comparison.rows:
        costs = np.array([run.figures.get(key, 0.0 if row.floor else np.nan) for run in row.finished_runs])
        if row.row in rows and np.isfinite(costs).all():
            yield row.row, costs
