"""Format numbers in raw units as text: the only place where numbers are rounded. Unknown values are a dash."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

UNKNOWN = "–"
MOST_LISTED, FIRST_LISTED = 8, 5  # in a sentence; of more than the most, the first


class Bounds(Protocol):
    """An object with a lower and an upper bound; None: unknown."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def format_score(value: float | None) -> str:
    """Round a score or a loss to three decimals."""
    return UNKNOWN if value is None else "not finite" if not math.isfinite(value) else f"{value:.3f}"


def format_rate(value: float | None) -> str:
    """Round a share that is near 1 to four decimals."""
    return UNKNOWN if value is None else f"{value:.4f}"


def format_difference(value: float | None) -> str:
    """Round a difference of scores to three decimals, with its sign unless it rounds to 0."""
    if value is None or not math.isfinite(value):
        return UNKNOWN if value is None else "not finite"
    return f"{value:+.3f}".replace("-", "−") if round(value, 3) else "0.000"


def format_interval(interval: Bounds | None, *, signed: bool = False) -> str:
    """Write an interval as "low to high", or a dash if there is none."""
    if interval is None or interval.low is None or interval.high is None:
        return UNKNOWN
    rounded = format_difference if signed else format_score
    return f"{rounded(interval.low)} to {rounded(interval.high)}"


def format_p_value(value: float | None) -> str:
    """Round a probability to three decimals, to more where these would hide on which side of .05 it is."""
    if value is None:
        return UNKNOWN
    decimals = next((n for n in range(3, 6) if (round(value, n) < 0.05) == (value < 0.05)), 6)
    return "<0.001" if value < 0.001 else f"{value:.{decimals}f}"


def join_words(words: Sequence[str]) -> str:
    """Write several words as an enumeration: "a, b and c"; of many the first, and "17 more"."""
    words = shorten(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def shorten(items: Sequence[str]) -> list[str]:
    """Return the items that a sentence lists: all, or of more than MOST_LISTED the first, and "17 more"."""
    kept = items if len(items) <= MOST_LISTED else items[:FIRST_LISTED]
    return [*kept, *([f"{len(items) - len(kept)} more"] if len(kept) < len(items) else [])]


def name_some(names: Iterable[str], most: int) -> str:
    """Write the first names in alphabetical order, and the number of the others."""
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def format_about(value: float) -> str:
    """Round a count up to two significant digits, with thousands separators."""
    step = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step) * step:,}"


def format_count(value: float | None) -> str:
    """Write a count with thousands separators."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:,.0f}"


def format_percent(ratio: float | None) -> str:
    """Write a fraction as percent with three significant digits, never in powers of ten."""
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    return f"{format_significant(100 * ratio)} %"


def format_seconds(seconds: float | None) -> str:
    """Write seconds as whole numbers from 100 on, else with three significant digits."""
    return UNKNOWN if seconds is None or not math.isfinite(seconds) else format_significant(seconds)


def format_milliseconds(seconds: float | None) -> str:
    """Write seconds as milliseconds with three significant digits."""
    return format_seconds(None if seconds is None else 1e3 * seconds)


def format_watt_hours(joules: float | None) -> str:
    """Write joules as watt-hours with three significant digits."""
    return format_seconds(None if joules is None else joules / 3600)


def format_megabytes(num_bytes: float | None) -> str:
    """Write bytes as megabytes of 10^6 bytes."""
    return UNKNOWN if num_bytes is None or not math.isfinite(num_bytes) else format_significant(num_bytes / 1e6)


def format_bytes(num_bytes: float | None) -> str:
    """Write bytes with their unit, megabytes or gigabytes of powers of ten."""
    if num_bytes is None or num_bytes < 1e9:
        return f"{format_megabytes(num_bytes)} MB"
    return f"{format_significant(num_bytes / 1e9)} GB"


def format_significant(value: float) -> str:
    """Write a number with at least three significant digits and no exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
