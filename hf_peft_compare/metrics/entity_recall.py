"""Entity recall: the share of the reference's names and numbers that the prediction contains."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hf_peft_compare.core.metric import Metric, Score

NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
SENTENCE_START = re.compile(r"(?:^|[.!?:\n]\s*)[\"“‘'(]*$")


def entities(text: str) -> set[str]:
    """Return the numbers of a text, and its capitalized words except those that only begin a sentence."""
    names = {m.group() for m in WORD.finditer(text) if m.group()[0].isupper() and not _begins_sentence(text, m.start())}
    return names | set(NUMBER.findall(text))


def _begins_sentence(text: str, position: int) -> bool:
    return SENTENCE_START.search(text[:position]) is not None


def entity_recall(prediction: str, reference: str) -> float:
    """Return the share of the reference's entities that are whole words of the prediction; 1 if it has none."""
    wanted = entities(reference)
    found = set(WORD.findall(prediction)) | set(NUMBER.findall(prediction))
    return len(wanted & found) / len(wanted) if wanted else 1.0


def compute_entity_recall(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Return the entity recall of every example, each in [0, 1]."""
    return {"entity_recall": [entity_recall(p, r) for p, r in zip(predictions, references, strict=True)]}


class EntityRecall(Metric):
    """The share of the reference's names and numbers that the prediction contains."""

    name = "entity_recall"
    scores = [Score(name="entity_recall", title="Entity recall", unit="ratio", greater_is_better=True)]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_entity_recall(predictions, references)
