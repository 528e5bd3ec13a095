"""The comparison as plain text for a terminal."""

from __future__ import annotations

from textwrap import fill, wrap

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.columns import main_columns
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.utils.text_tables import text_table

LONGEST_REMARK = 80
TITLE_WIDTH = 12
VERDICT_WIDTH = 100


def render_table(comparison: Comparison) -> str:
    """Return the main figures of every row, one line each, numbers right-aligned, with the verdict below."""
    columns = main_columns(comparison)
    titles = ["\n".join(wrap(title, TITLE_WIDTH)) for title in ["method", *(c.title for c in columns), "status"]]
    rows = [
        [_plain(row.label), *(column.write(row.figures.get(column.key)) for column in columns), _status(row.remark)]
        for row in comparison.rows
    ]
    verdict = [fill(_plain(sentence), VERDICT_WIDTH) for sentence in describe_verdict(comparison)]
    return "\n".join([text_table(titles, rows, left=["method", "status"]), "", *verdict]) + "\n"


def _status(remark: str) -> str:
    text = _plain(remark) or "finished"
    return text if len(text) <= LONGEST_REMARK else text[: LONGEST_REMARK - 1] + "…"


def _plain(text: str) -> str:
    """Keep a text on one line and its control characters out of the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
