"""A comparison in a notebook: verdict, table and Pareto plot, as HTML without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from hf_peft_compare.comparison import Comparison
from hf_peft_compare.comparison.columns import main_columns
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.report.charts.drawing import as_inline
from hf_peft_compare.report.escaping import visible
from hf_peft_compare.utils.formatting import format_interval

LEFT, RIGHT = "text-align:left", "text-align:right"
PLOT_WIDTH = 560


def render_html(comparison: Comparison, svg: str | None) -> str:
    """Write the verdict, the main table and a drawing; text from outside is escaped.

    Args:
        svg: the Pareto plot; None: nothing to draw.
    """
    verdict = "".join(f"<li>{_text(sentence)}</li>" for sentence in describe_verdict(comparison))
    plot = f"<div style='max-width:{PLOT_WIDTH}px'>{as_inline(svg, alt='Pareto plot')}</div>" if svg else ""
    return f"<div><ul>{verdict}</ul><table>{''.join(_lines(comparison))}</table>{plot}</div>"


def _lines(comparison: Comparison) -> Iterator[str]:
    columns = main_columns(comparison)
    titles = [("method", LEFT), *((column.title, RIGHT) for column in columns), ("status", LEFT)]
    yield f"<tr>{''.join(_cell(_text(title), side, tag='th') for title, side in titles)}</tr>"
    for row in comparison.rows:
        cells = [_cell(_text(row.label), LEFT)]
        for column in columns:
            interval = row.intervals.get(column.key)
            bounds = f"<br><small>{_text(format_interval(interval))}</small>" if interval and interval.known else ""
            cells.append(_cell(_text(column.write(row.figures.get(column.key))) + bounds, RIGHT))
        yield f"<tr>{''.join(cells)}{_cell(_text(row.remark or 'finished'), LEFT)}</tr>"


def _cell(content: str, side: str, *, tag: str = "td") -> str:
    return f'<{tag} style="{side}{";white-space:nowrap" if tag == "td" else ""}">{content}</{tag}>'


def _text(text: str) -> str:
    return escape(visible(text))
