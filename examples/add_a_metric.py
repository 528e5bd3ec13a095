"""A metric of your own: is the answer right, and short?

hf-peft-compare show brief_answer --plugin add_a_metric
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_peft_compare import Metric, Score


@dataclass(frozen=True, kw_only=True)
class BriefAnswer(Metric):
    """Whether an answer holds the reference, and has few words.

    Args:
        max_words: the most words that a brief answer has.
    """

    max_words: int = 20

    name = "brief_answer"
    scores = (Score(name="brief_answer", title="Brief and right", unit="ratio", greater_is_better=True),)

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return 1 for every example that is both, else 0."""
        pairs = zip(predictions, references, strict=True)
        return {"brief_answer": [float(r.lower() in p.lower() and len(p.split()) <= self.max_words) for p, r in pairs]}
