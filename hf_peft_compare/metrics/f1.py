"""F1, macro and weighted, as one score per example whose mean over the examples is F1 itself.

F1 of a split is not a mean of per-example scores. Each example's score here is its contribution: F1 plus the example's
influence (the delta method). The mean of these is F1 exactly, and their spread is that of F1 over samples to first
order, so that intervals and paired differences are valid for F1 as for a mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from hf_peft_compare.core.metric import Metric, Score


def class_f1(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return F1 of every label that occurs in the references, in [0, 1]."""
    right = Counter(r for p, r in zip(predictions, references, strict=True) if p == r)
    predicted, labeled = Counter(predictions), Counter(references)
    return {label: 2 * right[label] / (predicted[label] + number) for label, number in sorted(labeled.items())}


def macro_f1(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return each example's contribution to the mean of F1 over the labels."""
    scores = class_f1(predictions, references)
    parts = _parts(predictions, references, scores, lambda label: 1 / len(scores))
    mean = sum(scores.values()) / len(scores)
    return [mean + part for part in parts]


def weighted_f1(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return each example's contribution to the mean of F1 over the labels, weighted by their reference frequency.

    The weights come from the same sample: an example of a label with a high F1 raises the mean by being part of it.
    """
    scores, labeled = class_f1(predictions, references), Counter(references)
    parts = _parts(predictions, references, scores, lambda label: labeled[label] / len(references))
    return [scores[reference] + part for reference, part in zip(references, parts, strict=True)]


def _parts(
    predictions: Sequence[str], references: Sequence[str], scores: Mapping[str, float], weight: Callable[[str], float]
) -> list[float]:
    """Return each example's influence on the weighted sum of the labels' F1; the influences sum to 0.

    F1 = 2 TP / (predicted + labeled) is a ratio of sums over N examples, so example i moves it by
    N (2 TP_i - F1 (predicted_i + labeled_i)) / (predicted + labeled).
    """
    predicted, labeled = Counter(predictions), Counter(references)
    scale = {label: weight(label) * len(references) / (predicted[label] + labeled[label]) for label in scores}
    return [
        (2 * scale[r] if p == r else 0) - scale[r] * scores[r] - (scale[p] * scores[p] if p in scores else 0)
        for p, r in zip(predictions, references, strict=True)
    ]


def compute_f1(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Return both F1 scores of every example; single scores may lie outside [0, 1], their means cannot."""
    return {"f1_macro": macro_f1(predictions, references), "f1_weighted": weighted_f1(predictions, references)}


class F1(Metric):
    """F1, macro and weighted."""

    name = "f1"
    of_classes = True
    scores = [
        Score(name="f1_macro", title="Macro F1", unit="ratio", greater_is_better=True),
        Score(name="f1_weighted", title="Weighted F1", unit="ratio", greater_is_better=True),
    ]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_f1(predictions, references)
