"""Tables as plain text, the same in a terminal, a pipe and a file: no color codes, no wrapped numbers."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def text_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str]) -> str:
    """Return a table with the columns named in `left` left-aligned and all others right-aligned."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for title in titles:
        table.add_column(Text(title), justify="left" if title in left else "right", vertical="bottom", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return as_text(table, width=10_000)


def as_text(table: Table, *, width: int) -> str:
    """Return a table as printed on a terminal of `width` characters, without colors."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))
