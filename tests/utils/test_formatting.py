"""Formatted numbers: rounded in one place, a dash if unknown."""

from __future__ import annotations

import pytest

from hf_peft_compare.utils.formatting import (
    format_difference,
    format_megabytes,
    format_percent,
    format_score,
    format_seconds,
    format_watt_hours,
    join_words,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (format_score(0.12345), "0.123"),
        (format_score(None), "–"),
        (format_score(float("nan")), "not finite"),
        (format_difference(-0.0126), "−0.013"),
        (format_percent(4_608 / 124_444_416), "0.0037 %"),
        (format_percent(1.0), "100 %"),
        (format_seconds(3972.4), "3,972"),
        (format_seconds(0.5), "0.5"),
        (format_watt_hours(9_000), "2.5"),
        (format_watt_hours(None), "–"),
        (format_megabytes(10_393_000_000), "10,393"),
    ],
)
def test_numbers_are_rounded_for_reading(written: str, expected: str) -> None:
    assert written == expected


def test_an_enumeration_of_many_names_the_first_and_counts_the_others() -> None:
    assert join_words(["a"]) == "a" and join_words(list("abc")) == "a, b and c"
    assert join_words(list("abcdefgh")) == "a, b, c, d, e, f, g and h"
    assert join_words(list("abcdefghi")) == "a, b, c, d, e and 4 more"
