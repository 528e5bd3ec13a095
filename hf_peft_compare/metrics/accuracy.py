"""Accuracy: whether the prediction is the label."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from hf_peft_compare.entries import Metric, Score


@cache
def accuracy_metric() -> Any:
    """Make the metric: `compute(predictions=…, references=…)` gives one list of floats, unaggregated."""
    import datasets
    import evaluate

    class Accuracy(evaluate.Metric):
        """1 for each example whose predicted label is its own, else 0; no network is needed."""

        def _info(self) -> evaluate.MetricInfo:
            text = datasets.Value("string")
            return evaluate.MetricInfo(
                description="Accuracy per example",
                citation="",
                features=datasets.Features({"predictions": text, "references": text}),
            )

        def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
            return {"accuracy": [float(p == r) for p, r in zip(predictions, references, strict=True)]}

    return Accuracy()


def compute_accuracy(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Give the accuracy of every example, 0 or 1."""
    return accuracy_metric().compute(predictions=list(predictions), references=list(references))


ACCURACY = Metric(
    name="accuracy",
    scores=[Score(name="accuracy", title="Accuracy", unit="ratio", greater_is_better=True)],
    compute=compute_accuracy,
)
