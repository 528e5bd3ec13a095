"""The set of rows that contains the best one."""

from __future__ import annotations

from hf_peft_compare.comparison.best_set import find_best_set


def chances(**p_values: float):  # type: ignore[no-untyped-def]
    """Return `beats` from one-sided p-values of pairs such as ab=.01: a is better than b."""
    known = {**p_values, **{name[::-1]: 1 - p_value for name, p_value in p_values.items()}}
    return lambda row, other: known.get(row + other)


def test_a_row_that_is_beaten_leaves() -> None:
    assert find_best_set("abc", chances(ab=0.001, ac=0.001, bc=0.3)) == ("a",)


def test_rows_that_cannot_be_told_apart_stay() -> None:
    assert find_best_set("abc", chances(ab=0.2, ac=0.3, bc=0.5)) == ("a", "b", "c")


def test_rows_far_behind_cost_no_power() -> None:
    # a beats b with .03, which two rivals would not allow: .045 / 2. But c is surely below b, and does not count.
    assert find_best_set("abc", chances(ab=0.03, ac=0.0001, bc=0.0001)) == ("a",)
    assert find_best_set("abc", chances(ab=0.03, ac=0.2, bc=0.2)) == ("a", "b", "c")


def test_untested_pairs_and_a_single_row() -> None:
    assert find_best_set("ab", lambda row, other: None) == ("a", "b")
    assert find_best_set("a", chances()) == ("a",)
