"""F1, macro and weighted, as one score per example whose mean over the examples is F1 itself.

F1 of a whole split is no mean of anything that one example has. What stands in its place is each example's part in it,
F1 plus its influence (the delta method): their mean is F1 exactly, and their spread is that of F1 over samples to first
order, so that intervals and paired differences mean for F1 what they mean for a mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from hf_peft_compare.core.metric import Metric, Score


def class_f1(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Give F1 of every label that the references have, in [0, 1]."""
    right = Counter(r for p, r in zip(predictions, references, strict=True) if p == r)
    predicted, labelled = Counter(predictions), Counter(references)
    return {label: 2 * right[label] / (predicted[label] + number) for label, number in sorted(labelled.items())}


def macro_f1(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Give each example's part in the mean of F1 over the labels."""
    scores = class_f1(predictions, references)
    parts = _parts(predictions, references, scores, lambda label: 1 / len(scores))
    mean = sum(scores.values()) / len(scores)
    return [mean + part for part in parts]


def weighted_f1(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Give each example's part in the mean of F1 over the labels, each weighed by how often it is right.

    The weights are of the sample too: an example of a label with a high F1 raises the mean by being there.
    """
    scores, labelled = class_f1(predictions, references), Counter(references)
    parts = _parts(predictions, references, scores, lambda label: labelled[label] / len(references))
    return [scores[reference] + part for reference, part in zip(references, parts, strict=True)]


def _parts(
    predictions: Sequence[str], references: Sequence[str], scores: Mapping[str, float], weight: Callable[[str], float]
) -> list[float]:
    """Give each example's influence on the weighted sum of the labels' F1; they add up to 0.

    F1 = 2 TP / (predicted + labelled) is a ratio of sums over N examples, so example i moves it by
    N (2 TP_i - F1 (predicted_i + labelled_i)) / (predicted + labelled).
    """
    predicted, labelled = Counter(predictions), Counter(references)
    scale = {label: weight(label) * len(references) / (predicted[label] + labelled[label]) for label in scores}
    return [
        (2 * scale[r] if p == r else 0) - scale[r] * scores[r] - (scale[p] * scores[p] if p in scores else 0)
        for p, r in zip(predictions, references, strict=True)
    ]


def compute_f1(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Return both F1 of every example; each may lie outside [0, 1], their means never."""
    return {"f1_macro": macro_f1(predictions, references), "f1_weighted": weighted_f1(predictions, references)}


class F1(Metric):
    """F1, macro and weighted."""

    name = "f1"
    scores = [
        Score(name="f1_macro", title="Macro F1", unit="ratio", greater_is_better=True),
        Score(name="f1_weighted", title="Weighted F1", unit="ratio", greater_is_better=True),
    ]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_f1(predictions, references)
