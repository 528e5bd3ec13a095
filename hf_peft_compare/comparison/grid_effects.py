"""Effects of a grid's settings: what a change of one key did to the ranking score, averaged over the other keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from hf_peft_compare.comparison.example_scores import ExampleScores
from hf_peft_compare.comparison.pairwise import PairedDifference, compare_chosen
from hf_peft_compare.comparison.rows import FINISHED, MethodRow

Cells = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one key of a grid, all else unchanged.

    Args:
        pairs: the rows before and after it, each two of which differ in the key alone.
    """

    key: str
    before: Any
    after: Any
    pairs: tuple[tuple[str, str], ...]


def grid_effects(
    rows: Sequence[MethodRow], values: Mapping[str, Sequence[Any]], cells: Cells, *, greater_is_better: bool
) -> list[tuple[Change, PairedDifference]]:
    """Return each change from a value to the next, and from the first to the last, with its effect.

    An effect is the mean over the pairs of rows, after minus before, adjusted over all effects of the grid. The other
    keys have these values and are no sample of others: it holds for them. Only rows with all seeds take part, so that
    every mean is over the same seeds; if they were scored on different test data, there is no effect.

    Args:
        rows: of the study.
        values: {key: its values}.
        cells: {row: {key: value}} of all combinations.
    """
    whole = {row.row: row for row in rows if row.row in cells and row.status == FINISHED and row.examples is not None}
    if len(frozenset().union(*(row.test_data for row in whole.values()))) > 1:
        return []
    known = {row: cell for row, cell in cells.items() if row in whole}
    changes = [change for change in _changes(values, known) if change.pairs]
    sides = [[_average([whole[row] for row in side]) for side in zip(*change.pairs, strict=True)] for change in changes]
    chosen = [(after, before) for before, after in sides]
    return list(zip(changes, compare_chosen(chosen, greater_is_better=greater_is_better), strict=True))


def _changes(values: Mapping[str, Sequence[Any]], cells: Cells) -> Iterator[Change]:
    for key, listed in values.items():
        steps = [*pairwise(listed), *([(listed[0], listed[-1])] if len(listed) > 2 else [])]
        for before, after in steps:
            pairs = (
                (row, other)
                for row, cell in cells.items()
                for other, changed in cells.items()
                if cell[key] == before and changed == {**cell, key: after}
            )
            yield Change(key=key, before=before, after=after, pairs=tuple(pairs))


def _average(rows: Sequence[MethodRow]) -> MethodRow:
    """Return the first row with the mean scores of all, on the examples that all have: of each seed and example."""
    scores = [row.examples for row in rows if row.examples is not None]
    ids = [key for key in scores[0].ids if all(key in found.ids for found in scores[1:])]
    return replace(rows[0], seeded=any(row.seeded for row in rows), examples=_mean([s.only(ids) for s in scores]))


def _mean(scores: Sequence[ExampleScores]) -> ExampleScores:
    linear = np.mean([found.linear for found in scores], axis=0)
    return replace(scores[0], values=linear, weights=np.ones_like(linear))
