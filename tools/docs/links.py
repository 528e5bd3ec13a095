"""Links from pages to files of the repository, which the site has a copy of: reports, examples, measurements."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = "docs"
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(((?!\w+:|#)[^()\s#]+)(#[^()\s]*)?\)")


def outside_links(page: str, text: str) -> Iterator[str]:
    """Yield the files outside of `docs/` that a page links to, as paths from the top of the repository.

    Args:
        page: the page's own path from there.
    """
    for _, _, target, _ in LINK.findall(text):
        path = _path(page, target)
        if not path.startswith(f"{DOCS}/") and not (ROOT / path).is_dir():
            yield path


def relinked(page: str, text: str) -> str:
    """Return a page whose links to files of the repository lead to their copies; those to folders become plain text."""

    def one(match: re.Match[str]) -> str:
        image, words, target, anchor = match.groups(default="")
        path = _path(page, target)
        if path.startswith(f"{DOCS}/"):
            return match[0]
        if (ROOT / path).is_dir():
            return words
        return f"{image}[{words}]({posixpath.relpath(path, _folder_in_site(page))}{anchor})"

    return LINK.sub(one, text)


def links(page: str, text: str) -> list[tuple[str, str]]:
    """Return all links within the repository: (path from its top, anchor)."""
    return [(_path(page, target), anchor) for _, _, target, anchor in LINK.findall(text)]


def _path(page: str, target: str) -> str:
    """Return the path that a link leads to: of a report, its page in HTML where there is one."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    whole = posixpath.join(posixpath.dirname(path), "index.html")
    return whole if path.endswith("/README.md") and (ROOT / whole).is_file() else path


def _folder_in_site(page: str) -> str:
    folder = posixpath.dirname(page)
    return posixpath.relpath(folder, DOCS) if folder == DOCS or folder.startswith(f"{DOCS}/") else folder or "."
