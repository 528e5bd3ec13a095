"""Exact match: whether the prediction is the reference, whatever its case and white space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hf_peft_compare.core.metric import Metric, Score

PUNCTUATION = re.compile(r"[^\w\s]|_")


@dataclass(frozen=True, kw_only=True)
class ExactMatch(Metric):
    """Whether the prediction is the reference. White space at the ends does not count, and any within is one space.

    Args:
        ignore_case: whether "Yes" is "yes".
        ignore_punctuation: whether all that is neither letter, digit nor space is left out; then "3.5" is "35".
    """

    ignore_case: bool = True
    ignore_punctuation: bool = False

    name = "exact_match"
    scores = (Score(name="exact_match", title="Exact match", unit="ratio", greater_is_better=True),)

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return 1 for every example whose prediction is its reference, else 0."""
        pairs = zip(map(self._normalized, predictions), map(self._normalized, references), strict=True)
        return {"exact_match": [float(prediction == reference) for prediction, reference in pairs]}

    def _normalized(self, text: str) -> str:
        text = PUNCTUATION.sub("", text) if self.ignore_punctuation else text
        return " ".join((text.casefold() if self.ignore_case else text).split())
