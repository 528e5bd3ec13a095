"""A metric: scores predictions against references, one score per example."""

from __future__ import annotations

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

    Attributes:
        name: the key used in studies.
        scores: every score that `compute` returns; the first one is used for ranking.
    """

    name: ClassVar[str]
    scores: ClassVar[Sequence[Score]]

    @abstractmethod
    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return {score name: one float per example}."""
