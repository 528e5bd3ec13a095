"""Accuracy: whether the prediction is the label."""

from __future__ import annotations

from collections.abc import Sequence

from hf_peft_compare.core.metric import Metric, Score


def compute_accuracy(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Return 1 for every example whose predicted label equals its reference, else 0."""
    return {"accuracy": [float(p == r) for p, r in zip(predictions, references, strict=True)]}


class Accuracy(Metric):
    """Whether the prediction is the label."""

    name = "accuracy"
    scores = [Score(name="accuracy", title="Accuracy", unit="ratio", greater_is_better=True)]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_accuracy(predictions, references)
