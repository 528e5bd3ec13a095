"""What the metrics have in common: an `evaluate.Metric` of texts that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

# One list of floats per score, a float per example.
Scores = dict[str, list[float]]


def per_example(
    compute: Callable[[Sequence[str], Sequence[str]], Scores], *, description: str, citation: str = ""
) -> Any:
    """Make a metric: `compute(predictions=…, references=…)` gives one list of floats per score, unaggregated."""
    import datasets
    import evaluate

    class PerExample(evaluate.Metric):
        """Scores of texts, one by one; built directly, since `evaluate.load` asks the hub even for local files."""

        def _info(self) -> evaluate.MetricInfo:
            text = datasets.Value("string")
            features = datasets.Features({"predictions": text, "references": text})
            return evaluate.MetricInfo(description=description, citation=citation, features=features)

        def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> Scores:
            return compute(predictions, references)

    return PerExample()
