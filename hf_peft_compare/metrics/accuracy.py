"""Accuracy: whether the prediction is the label."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from hf_peft_compare.core.metric import Metric, Score
from hf_peft_compare.metrics.per_example import Scores, per_example


@cache
def accuracy_metric() -> Any:
    """Make the metric."""
    return per_example(_score, description="1 where the predicted label is the example's own, else 0")


def _score(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    return {"accuracy": [float(p == r) for p, r in zip(predictions, references, strict=True)]}


def compute_accuracy(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Give the accuracy of every example, 0 or 1."""
    return accuracy_metric().compute(predictions=list(predictions), references=list(references))


class Accuracy(Metric):
    """Whether the prediction is the label."""

    name = "accuracy"
    scores = [Score(name="accuracy", title="Accuracy", unit="ratio", greater_is_better=True)]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_accuracy(predictions, references)
