"""Scores of predictions against references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number per example: its key in records, its title in tables, its unit, its direction, how it is read."""

    name: str
    title: str
    unit: str
    greater_is_better: bool
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Scores of predictions against references.

    Args:
        name: the key used in studies.
        scores: every score that `compute` returns; the first is the one a ranking uses.
        compute: `compute(predictions, references) -> {score name: [one float per example]}`.
    """

    name: str
    scores: Sequence[Score]
    compute: Callable[[Sequence[str], Sequence[str]], dict[str, list[float]]]
