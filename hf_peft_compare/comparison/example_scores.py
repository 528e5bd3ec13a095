"""Per-example scores of a row: of every seed, on the examples that all of its seeds have, in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf_peft_compare.comparison.crossed_effects import Floats

LOSS = "test_loss"  # per token: the sum of an example's nats over its tokens, so a ratio of two means

CONTRIBUTIONS = "f1_"  # scores of a whole split; an example's is its contribution, see `metrics.f1`

Predictions = Sequence[Mapping[str, Any]]


def is_loss(score: str) -> bool:
    """Whether a score is a test loss: the plain one, or one named after its unit."""
    return score.startswith(LOSS)


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleScores:
    """Scores of S seeds on N examples, or on N clusters of examples that are not independent of each other.

    Args:
        ids: the examples, or clusters.
        values, weights: [S, N]; an example's score is its value over its weight, e.g. nats over tokens, and a
            seed's is the sum of values over that of weights. Plain scores have weights of 1. A cluster's value and
            weight are the sums over its examples.
        num_examples: the number of examples in all clusters.
        same_for_all_seeds: whether every seed was scored on the same examples.
        contributions: values are an example's contributions to a score of the whole split, such as F1.
    """

    ids: tuple[str, ...]
    values: Floats
    weights: Floats
    num_examples: int
    same_for_all_seeds: bool = True
    contributions: bool = False

    @property
    def between_0_and_1(self) -> bool:
        """Whether every example's score is from 0 to 1."""
        return bool(((self.per_example >= 0) & (self.per_example <= 1)).all())

    @property
    def per_example(self) -> Floats:
        """The score of every example [S, N]."""
        return np.asarray(self.values / self.weights, dtype=np.float64)

    @property
    def linear(self) -> Floats:
        """Scores [S, N] whose means over examples are the seeds' scores, with the same variance.

        A ratio of sums is replaced by its first-order expansion around itself, R + (value - R weight) / mean weight
        (the delta method), so that everything that holds for means holds for it; plain scores are unchanged.
        """
        ratios = self.values.sum(1, keepdims=True) / self.weights.sum(1, keepdims=True)
        deviations = (self.values - ratios * self.weights) / self.weights.mean(1, keepdims=True)
        return np.asarray(ratios + deviations, dtype=np.float64)

    def only(self, ids: Sequence[str]) -> ExampleScores:
        """Return the scores of some of the examples, in the order given."""
        if tuple(ids) == self.ids:
            return self
        place = {key: number for number, key in enumerate(self.ids)}
        columns = [place[key] for key in ids]
        number = round(self.num_examples * len(ids) / len(self.ids)) if self.ids else 0
        values, weights = self.values[:, columns], self.weights[:, columns]
        return replace(self, ids=tuple(ids), values=values, weights=weights, num_examples=number)


def collect_scores(by_seed: Sequence[Predictions], score: str) -> ExampleScores:
    """Collect one score of a row from the predictions of its seeds; examples that a seed lacks are left out."""
    found = [example_values(predictions, score) for predictions in by_seed]
    ids = [key for key in (found[0] if found else ()) if all(key in values for values in found)]
    pairs = np.array([[values[key] for key in ids] for values in found], dtype=float).reshape(len(found), len(ids), 2)
    clusters = {str(line["id"]): line.get("cluster") for line in (by_seed[0] if by_seed else ())}
    names = [key if clusters[key] is None else f"cluster {clusters[key]}" for key in ids]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    sums = np.zeros((len(places), len(found), 2))
    np.add.at(sums, np.array([places[name] for name in names], dtype=int), pairs.swapaxes(0, 1))
    return ExampleScores(
        ids=tuple(places),
        values=sums[..., 0].T,
        weights=sums[..., 1].T,
        num_examples=len(ids),
        same_for_all_seeds=all(len(values) == len(ids) for values in found),
        contributions=score.startswith(CONTRIBUTIONS),
    )


def example_values(predictions: Predictions, score: str) -> dict[str, tuple[float, float]]:
    """Return {example id: (value, weight)} of one score; examples without it are left out."""
    if is_loss(score):
        found = {str(line["id"]): (line.get("nll"), line.get("num_tokens")) for line in predictions}
    else:
        found = {str(line["id"]): (line.get("scores", {}).get(score), 1) for line in predictions}
    return {
        key: (float(value), float(weight)) for key, (value, weight) in found.items() if value is not None and weight
    }


def shared_ids(first: ExampleScores, second: ExampleScores) -> tuple[str, ...]:
    """Return the ids of the examples that both have, in the order of the first."""
    if first.ids == second.ids:
        return first.ids
    known = set(second.ids)
    return tuple(key for key in first.ids if key in known)
