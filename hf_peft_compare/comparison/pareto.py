"""Pareto fronts of quality against cost, with their uncertainty: the share of resamples with a row on the front.

A resample draws random weights for the test examples, the same for all rows, and for the seeds of each row, the same
for their quality and cost (the Bayesian bootstrap: Rubin (1981), Annals of Statistics 9). Deviations are scaled up to
the variance of the mean of n draws, s² / n, which matters with few seeds. With one seed only the examples vary, and
costs stay as measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.columns import FigureColumn, cost_columns, ranking_column
from hf_peft_compare.comparison.crossed_effects import Floats
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
    resampled = _resample_seed_scores(scores, rng)
    weights = {row: draw_weights(len(found.values), NUM_RESAMPLES, rng) for row, found in scores.items()}
    quality = {row: sign * (weights[row] * resampled[row]).sum(1) for row in scores}
    measured = {row: sign * found.linear.mean(keepdims=True)[0] for row, found in scores.items()}
    return [_front(cost, comparison, measured, quality, weights) for cost in cost_columns(comparison)]


def _front(
    cost: FigureColumn,
    comparison: Comparison,
    measured: Mapping[str, Floats],
    quality: Mapping[str, Floats],
    weights: Mapping[str, Floats],
) -> Front:
    """Return the front as measured, and each row's share of resamples, given quality [R] and seed weights [R, S]."""
    costs = dict(_seed_costs(comparison, list(quality), cost.key))
    now = _on_front(measured, {row: found.mean(keepdims=True) for row, found in costs.items()})
    often = _on_front(quality, {row: weights[row] @ found for row, found in costs.items()})
    return Front(
        cost=cost,
        members=frozenset(row for row, on in now.items() if on.all()),
        shares={row: float(on.mean()) for row, on in often.items()},
    )


def find_front(quality: Floats, cost: Floats) -> NDArray[np.bool_]:
    """Return which entries of the last axis are not dominated: none is as good and as cheap, and better in one."""
    better, cheaper = (values[..., None, :] - values[..., :, None] for values in (quality, -cost))  # [..., M, others]
    beaten = (better >= 0) & (cheaper >= 0) & ((better > 0) | (cheaper > 0))
    return np.asarray(~beaten.any(-1))


def draw_weights(number: int, num_resamples: int, rng: np.random.Generator) -> Floats:
    """Draw random weights [R, n] that add up to 1, under which a mean varies by s² / n."""
    if number == 1:
        return np.ones((num_resamples, 1))
    drawn = rng.standard_exponential((num_resamples, number))
    deviations = drawn / drawn.sum(1, keepdims=True) - 1 / number
    return np.asarray(1 / number + np.sqrt((number + 1) / (number - 1)) * deviations, dtype=np.float64)


def _on_front(quality: Mapping[str, Floats], costs: Mapping[str, Floats]) -> dict[str, NDArray[np.bool_]]:
    """Return {row: the resamples in which it is on the front} for the rows that have the cost."""
    if not costs:
        return {}
    found = find_front(*(np.stack([values[row] for row in costs], axis=-1) for values in (quality, costs)))
    return dict(zip(costs, found.T, strict=True))


def _resample_seed_scores(scores: Mapping[str, ExampleScores], rng: np.random.Generator) -> dict[str, Floats]:
    """Return the score of every seed in every resample of the examples, {row: [R, S]}."""
    linear = {row: found.linear for row, found in scores.items()}
    number = len(next(iter(scores.values())).ids)
    blocks: dict[str, list[Floats]] = {row: [] for row in scores}
    for _ in range(NUM_RESAMPLES // BLOCK):
        weights = draw_weights(number, BLOCK, rng)
        for row, values in linear.items():
            blocks[row].append(weights @ values.T)
    return {row: np.concatenate(found) for row, found in blocks.items()}


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
