"""Means in records that the predictions beside them contradict: one of the two files was changed afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hf_peft_compare.comparison.example_scores import ExampleScores
from hf_peft_compare.comparison.rows import RunRow

TOLERANCE = 1e-6  # relative; both are computed from the same numbers


def describe_contradictions(runs: Sequence[RunRow], by_score: Mapping[str, ExampleScores]) -> Iterator[str]:
    """Yield a sentence for each run and score whose mean in the record is not that of its predictions.

    Args:
        by_score: the scores of the runs' examples; seeds with other examples than the first are not compared.
    """
    for score, found in by_score.items():
        if not found.ids or not found.same_for_all_seeds:
            continue
        means = found.values.sum(1) / found.weights.sum(1)
        for run, mean in zip(runs, means.tolist(), strict=True):
            if not np.isclose(mean, run.figures[score], rtol=TOLERANCE, equal_nan=True):
                yield (
                    f"The record of {run.run} contradicts its predictions: {score} is {run.figures[score]:.6g} in one "
                    f"and {mean:.6g} in the other."
                )
