"""Template environments of the three page languages. Each escapes everything except markup built by this package."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from hf_peft_compare.report.blocks import MANY_ROWS, Table
from hf_peft_compare.report.charts.drawing import as_inline
from hf_peft_compare.report.escaping import Raw, cap, escape_latex, escape_markdown, fenced, visible
from hf_peft_compare.report.formulas import formula_latex, formula_markdown, formula_mathml
from hf_peft_compare.report.page import live_json, pack

_LATEX_SIGNS: dict[str, Any] = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}


@cache
def environment(language: str) -> jinja2.Environment:
    """Return the template environment of "html", "md" or "tex"."""
    makers = {"html": _html, "md": _markdown, "tex": _latex}
    made = makers[language]()
    made.filters["cap"] = cap
    made.filters["raw"] = Raw  # only for text written in the templates, never for data
    return made


def _html() -> jinja2.Environment:
    made = jinja2.Environment(autoescape=True, finalize=_finalize_html, **_common())
    made.filters["inline_svg"] = lambda svg, alt: Markup(as_inline(svg, alt=visible(alt)))
    made.filters["formula"] = lambda latex: Markup(formula_mathml(latex) or "")
    made.filters["live_json"] = live_json
    made.filters["pack"] = pack
    made.globals["many"] = MANY_ROWS
    made.tests["web_address"] = lambda url: str(url).startswith(("https://", "http://"))
    return made


def _finalize_html(value: object) -> Any:
    return value if isinstance(value, Markup) else visible(value)


def _markdown() -> jinja2.Environment:
    made = jinja2.Environment(autoescape=False, finalize=escape_markdown, **_common())
    made.filters["formula"] = formula_markdown
    made.filters["web_link"] = web_link
    made.filters["fenced"] = fenced
    return made


def web_link(url: str) -> str:
    """Return a link for a plain web address; any other text is returned unchanged and escaped later."""
    return Raw(f"<{url}>") if re.fullmatch(r"https?://[\w./:#?&=%~+-]+", url, flags=re.ASCII) else url


def _latex() -> jinja2.Environment:
    made = jinja2.Environment(autoescape=False, finalize=escape_latex, **_common(), **_LATEX_SIGNS)
    made.filters["formula"] = formula_latex
    made.filters["two_lines"] = two_lines
    made.filters["most_details"] = lambda row: max(len(cell.lines) for cell in row)
    made.globals["column_type"] = column_type
    return made


def two_lines(title: str) -> Raw:
    """Break a column's title in the middle, so that LaTeX columns stay narrow."""
    words = cap(title, 60).split(" ")
    middle = (len(words) + 1) // 2
    lines = [" ".join(part) for part in (words[:middle], words[middle:]) if part]
    return Raw(r"\\\relax ".join(escape_latex(line) for line in lines))


def column_type(table: Table, place: int) -> str:
    """Return the LaTeX type of a column: right for numbers, a paragraph if some text is long, else left."""
    if table.columns[place].numeric:
        return "r"
    longest = max((len(row[place].text) for row in table.rows), default=0)
    return "p{5.5cm}" if longest > 45 else "l"


def _common() -> dict[str, Any]:
    return {
        "loader": jinja2.PackageLoader("hf_peft_compare.report"),
        "undefined": jinja2.StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
        "keep_trailing_newline": True,
    }
