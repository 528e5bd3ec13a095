"""The pages of the documentation and their code blocks, for its tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [
        *sorted((ROOT / "docs").rglob("*.md")),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ]
}


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page, code) of every block in a language; a block that is a file's content is that file's to test."""
    pattern = re.compile(rf"^( *)```{language}(?: [^\n]*)?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    return [
        (page, match[2]) for page, text in PAGES.items() for match in pattern.finditer(text) if "--8<--" not in match[2]
    ]
