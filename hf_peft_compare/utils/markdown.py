"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def plain_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of plain values; None is an empty cell."""
    return table([_plain(title) for title in head], [[_plain(value) for value in row] for row in rows])


def _plain(value: object) -> str:
    """Return a value as one line that does not end its cell."""
    return "" if value is None else " ".join(str(value).replace("|", "\\|").split())
