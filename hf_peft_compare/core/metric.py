"""A metric: scores predictions against references, one score per example."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number per example: its key in records, title in tables, unit, direction, and a note on how to read it."""

    name: str
    title: str
    unit: str
    greater_is_better: bool
    note: str = ""


class Metric(ABC):
    """Scores of predictions. Subclasses in the files of `hf_peft_compare/metrics/` are registered by name.

    A metric with settings is a frozen dataclass; its fields are what a study may set for it.

    Attributes:
        name: the key used in studies.
        scores: every score that `compute` returns; the first one is used for ranking.
        of_classes: whether it compares the names of classes, and so says nothing of texts.
    """

    name: ClassVar[str]
    scores: ClassVar[Sequence[Score]]
    of_classes: ClassVar[bool] = False

    @abstractmethod
    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return {score name: one float per example}."""

    def checked_scores(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return what `compute` returns.

        Raises:
            ValueError: it is not what the metric declares: one finite number per example for each of its scores.
        """
        found, declared = self.compute(predictions, references), [score.name for score in self.scores]
        if set(found) != set(declared):
            raise ValueError(f"compute returned the scores {', '.join(found)}, but declared are {', '.join(declared)}")
        for name, values in found.items():
            if len(values) != len(predictions) or not all(math.isfinite(value) for value in values):
                number = len(predictions)
                raise ValueError(
                    f"compute returned {values!r:.100} as {name}; expected {number} finite numbers, one per example"
                )
        return found

    def refusal(self, reference: str) -> str | None:
        """Return why a reference cannot be scored, such as "has no number"; None: it can.

        It is asked for every test example before anything runs.
        """
        return None
