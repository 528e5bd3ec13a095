"""Per-example scores of a row, as arrays in a common order; a row with several seeds is its mean over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_peft_compare.comparison.intervals import Floats

LOSS = "test_loss"  # per token: the sum of an example's nats over its tokens, so it is resampled as a ratio

Predictions = Sequence[Mapping[str, Any]]


def example_values(predictions: Predictions, score: str) -> dict[str, tuple[float, float]]:
    """Give {example id: (value, weight)} of one score; examples without it are left out."""
    if score == LOSS:
        found = {str(line["id"]): (line.get("nll"), line.get("num_tokens")) for line in predictions}
    else:
        found = {str(line["id"]): (line.get("scores", {}).get(score), 1) for line in predictions}
    return {
        key: (float(value), float(weight)) for key, (value, weight) in found.items() if value is not None and weight
    }


def average_over_seeds(by_seed: Sequence[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """Average an example's values over seeds, for the examples that every seed has."""
    if len(by_seed) < 2:
        return dict(by_seed[0]) if by_seed else {}
    shared = [key for key in by_seed[0] if all(key in values for values in by_seed)]
    return {
        key: (
            sum(values[key][0] for values in by_seed) / len(by_seed),
            sum(values[key][1] for values in by_seed) / len(by_seed),
        )
        for key in shared
    }


def as_arrays(values: Mapping[str, tuple[float, float]]) -> tuple[Floats, Floats]:
    """Give values and weights as two [N] arrays."""
    pairs = np.array(list(values.values()), dtype=float).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
