"""The set of rows that contains the best one with 95 % confidence: comparisons with the best, in two steps.

Holm's method over all pairs answers which rows differ; which may be the best is another question, with fewer tests. A
row leaves the set if a row that is not surely below it beats it: with a one-sided p below .045 over the number of such
rows. "Surely below" is a one-sided p below .005 / (M - 1), so that rows far behind do not cost power. If the tests
hold, the truly best row leaves with a probability of at most .05.
Source: Hsu (1981), Annals of Statistics 9, on the idea; the first step splits the error as Romano, Shaikh and Wolf
(2014), Econometrica 82, do for moment inequalities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

FIRST, SECOND = 0.005, 0.045  # the parts of the error of 5 %


def find_best_set(rows: Sequence[str], beats: Callable[[str, str], float | None]) -> tuple[str, ...]:
    """Return the rows of which one is the best.

    Args:
        beats: `beats(row, other)` is the one-sided p-value of `row` being better than `other`; None: not tested.
    """
    return tuple(row for row in rows if not _leaves(row, rows, beats))


def _leaves(row: str, rows: Sequence[str], beats: Callable[[str, str], float | None]) -> bool:
    others = [other for other in rows if other != row]
    below = {other: beats(row, other) for other in others}
    near = [other for other, p_value in below.items() if p_value is not None and p_value >= FIRST / len(others)]
    chances = [beats(other, row) for other in near]
    return any(p_value is not None and p_value < SECOND / len(near) for p_value in chances)
