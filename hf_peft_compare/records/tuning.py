"""The tuning of a row's settings, as stored in the records of its runs."""

from __future__ import annotations

from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SearchRange:
    """The range in which a number is searched.

    Args:
        low, high: its bounds.
        log: whether it is searched on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SearchChoices:
    """The values searched.

    Args:
        values: all of them.
    """

    values: list[Any]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trial:
    """One trial of tuning.

    Args:
        settings: {dotted key: value tried}.
        validation_loss: the lowest one; None if the trial failed.
        validation_losses: those of all evaluations, in order.
        seconds: of loading, training and validation.
        error: why the trial failed; None if it did not.
        steps: optimizer steps, where trials differ in them; None: as many as a run of the row.
    """

    settings: dict[str, Any]
    validation_loss: float | None
    validation_losses: list[float]
    seconds: float
    error: str | None = None
    steps: int | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tuning:
    """The tuning of a row, shared by the records of all its seeds.

    Args:
        budget: the trials or minutes per row, in words.
        space: {dotted key: range or choices}, from the study or the method.
        widened: the range in which the learning rate was searched beyond its own; None: it was not widened.
        best_settings: those of the trial with the lowest validation loss; of `tune: auto`, the rate that its trials
            suggest for the whole training, which need not be one of theirs.
        trials: all of them, in order.
        at_edge: whether the best learning rate is at the edge of all values tried.
        seconds: of all trials.
        parallel_trials: how many trials were proposed at a time.
    """

    budget: str
    space: dict[str, SearchRange | SearchChoices]
    widened: SearchRange | None
    best_settings: dict[str, Any]
    at_edge: bool
    seconds: float
    trials: list[Trial]
    parallel_trials: int = 1
