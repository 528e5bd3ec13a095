"""Pieces of Markdown."""

from __future__ import annotations

import json

from hf_peft_compare.report.escaping import escape_markdown, fenced

LONGEST_INLINE = 90  # characters of a default that stands in its line


def code(text: object) -> str:
    """Return a text as code within a line, table cells included."""
    return "`" + str(text).replace("|", r"\|") + "`"


def prose(text: str) -> str:
    """Return a docstring's text: what it has in backticks stays code, all else is plain."""
    parts = " ".join(text.split()).split("`")
    return "".join(f"`{part}`" if i % 2 else escape_markdown(f"·{part}·")[1:-1] for i, part in enumerate(parts))


def default(value: object) -> str:
    """Return a default as YAML has it, in a block of its own if it is long."""
    if isinstance(value, str) and len(value) > LONGEST_INLINE:
        return f"default:\n\n{fenced(value)}"
    return f"default {code(json.dumps(value, ensure_ascii=False))}"
