"""Read tables back out of the pages."""

from __future__ import annotations

from html.parser import HTMLParser


class TableReader(HTMLParser):
    """Collects the main text of every cell of one table, row by row."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.rows, self.depth, self.in_value = name, [], 0, False  # type: ignore[var-annotated]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "figure":
            self.depth = 1 if given.get("id") == f"table-{self.name}" else 0
        if self.depth and tag == "tr":
            self.rows.append([])
        if self.depth and tag == "span" and given.get("class") == "value":
            self.rows[-1].append("")
            self.in_value = True

    def handle_endtag(self, tag: str) -> None:
        self.in_value = self.in_value and tag != "span"

    def handle_data(self, data: str) -> None:
        if self.in_value:
            self.rows[-1][-1] += data


def read_table(page: str, name: str) -> dict[str, list[str]]:
    """Give {first cell: other cells} of a table of a page."""
    reader = TableReader(name)
    reader.feed(page)
    return {row[0]: row[1:] for row in reader.rows if row}
