"""How the settings of a run's row were found, as its record keeps it."""

from __future__ import annotations

from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SearchRange:
    """Bounds of a number, searched on a logarithmic scale where `log`."""

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SearchChoices:
    """Values that were searched."""

    values: list[Any]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trial:
    """One trial of tuning.

    Args:
        settings: {dotted key: value that was tried}.
        validation_loss: its best one; None where the trial failed.
        validation_losses: those of all its evaluations, in order.
        seconds: loading, training and validation.
        error: why it failed; None where it did not.
    """

    settings: dict[str, Any]
    validation_loss: float | None
    validation_losses: list[float]
    seconds: float
    error: str | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tuning:
    """The tuning of a row, shared by the records of all its seeds.

    Args:
        budget: the trials or minutes that every row had, in words.
        space: {dotted key: what was tried}, as the study or the method gives it.
        widened: where the learning rate was looked for beyond its range; None: the range was not widened.
        best_settings: those of the trial with the lowest validation loss.
        at_edge: whether the best learning rate lies at the edge of all that was tried.
        seconds: of all trials.
    """

    budget: str
    space: dict[str, SearchRange | SearchChoices]
    widened: SearchRange | None
    best_settings: dict[str, Any]
    at_edge: bool
    seconds: float
    trials: list[Trial]
