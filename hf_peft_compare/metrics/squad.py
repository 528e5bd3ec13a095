"""SQuAD's scores of a short answer: exact match, and F1 of its words.

Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text". Case, punctuation, the articles
a, an and the, and white space do not count. An empty reference says that there is no answer (Rajpurkar et al. 2018,
"Know What You Don't Know"): an empty prediction is right then, and any other is wrong.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from hf_peft_compare.core.metric import Metric, Score

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words_of(text: str) -> list[str]:
    """Return the words of an answer that count."""
    return ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split()


def word_f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """Return F1 of the words that two answers share, each as often as both have it."""
    if not prediction or not reference:
        return float(prediction == reference)
    shared = (Counter(prediction) & Counter(reference)).total()
    return 2 * shared / (len(prediction) + len(reference))


class Squad(Metric):
    """F1 of the words of an answer, and whether it is the reference."""

    name = "squad"
    scores = (
        Score(name="f1", title="F1", unit="ratio", greater_is_better=True),
        Score(name="exact_match", title="Exact match", unit="ratio", greater_is_better=True),
    )

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return both scores of every example."""
        pairs = [(words_of(p), words_of(r)) for p, r in zip(predictions, references, strict=True)]
        return {
            "f1": [word_f1(prediction, reference) for prediction, reference in pairs],
            "exact_match": [float(prediction == reference) for prediction, reference in pairs],
        }
