"""A metric: scores of predictions against references, one per example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number per example: its key in records, its title in tables, its unit, its direction, how it is read."""

    name: str
    title: str
    unit: str
    greater_is_better: bool
    note: str = ""


class Metric(ABC):
    """Scores of predictions. A subclass in a file of `hf_peft_compare/metrics/` is found by its name.

    Attributes:
        name: the key used in studies.
        scores: every score that `compute` returns; the first is the one a ranking uses.
    """

    name: ClassVar[str]
    scores: ClassVar[Sequence[Score]]

    @abstractmethod
    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return {score name: one float per example}."""
