"""The comparison as plain text for a terminal."""

from __future__ import annotations

from textwrap import fill, wrap

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.columns import main_columns
from hf_peft_compare.comparison.verdict import say_verdict

LONGEST_REMARK = 80
TITLE_WIDTH = 12
VERDICT_WIDTH = 100


def render_table(comparison: Comparison) -> str:
    """Write the main figures of every row, one line each, numbers to the right; the verdict below."""
    columns = main_columns(comparison)
    header = _wrap(["method", *(column.title for column in columns), "status"])
    body = [
        [_plain(row.label), *(column.write(row.figures.get(column.key)) for column in columns), _status(row.remark)]
        for row in comparison.rows
    ]
    widths = [max(map(len, cells)) for cells in zip(*header, *body, strict=True)]
    lines = [_join(line, widths) for line in [*header, ["-" * width for width in widths], *body]]
    verdict = [fill(_plain(sentence), VERDICT_WIDTH) for sentence in say_verdict(comparison)]
    return "\n".join([*lines, "", *verdict]) + "\n"


def _wrap(titles: list[str]) -> list[list[str]]:
    """Break long titles into lines, all ending on the last, so that narrow numbers get narrow columns."""
    broken = [wrap(title, TITLE_WIDTH) for title in titles]
    height = max(map(len, broken))
    padded = [[""] * (height - len(lines)) + lines for lines in broken]
    return [list(line) for line in zip(*padded, strict=True)]


def _join(cells: list[str], widths: list[int]) -> str:
    first, *numbers, last = cells
    middle = (number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True))
    return "  ".join([first.ljust(widths[0]), *middle, last]).rstrip()


def _status(remark: str) -> str:
    text = _plain(remark) or "finished"
    return text if len(text) <= LONGEST_REMARK else text[: LONGEST_REMARK - 1] + "…"


def _plain(text: str) -> str:
    """Keep a text on one line and its control characters out of the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
