"""Charts as SVG and PDF, the same bytes for the same data; matplotlib is imported when the first chart is drawn."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.report.escaping import cap, visible

if TYPE_CHECKING:
    from hf_peft_compare.report.blocks import Chart

# The colors of Okabe and Ito (2008), which color-blind readers can tell apart; yellow is left out: too pale on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b8609a", "#c98a00", "#3a9bd4")
FLOOR_COLOURS = ("#8a8f98", "#a89078")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
# Near-black and near-white that the inline page replaces by its own text color and by nothing.
INK, PAPER = "#0a0b0c", "#fafbfc"
BARE: Any = {"Date": None, "Creator": None}  # no date, no version: the same bytes tomorrow
SETTINGS: Any = {
    "svg.hashsalt": "hf-peft-compare",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "axes.axisbelow": True,
}


def assign_colors(rows: Sequence[MethodRow]) -> dict[str, str]:
    """Give every row its accent: floors in greys, the others in order; more rows than colors begin again."""
    accents: dict[str, str] = {}
    for palette, members in (
        (COLOURS, [r for r in rows if not r.floor]),
        (FLOOR_COLOURS, [r for r in rows if r.floor]),
    ):
        accents.update({row.row: palette[place % len(palette)] for place, row in enumerate(members)})
    return {row.row: accents[row.row] for row in rows}


def assign_markers(rows: Sequence[MethodRow]) -> dict[str, str]:
    """Give every row its marker, so that charts can be read without color."""
    ordered = sorted(rows, key=lambda row: row.floor)
    return {row.row: MARKERS[place % len(MARKERS)] for place, row in enumerate(ordered)}


def short_label(text: str) -> str:
    """Make a text fit for a legend or an axis: short, on one line."""
    return " ".join(cap(visible(text), 40).split())


def chart_label(text: str) -> str:
    """Make a text safe for matplotlib as well: no mathematics, no leading underscore."""
    plain = short_label(text).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def render_chart(chart: Chart) -> tuple[str, bytes]:
    """Draw a chart; gives its SVG, still in the placeholder colors, and its PDF."""
    with _drawing() as figure_class:
        figure = figure_class(figsize=chart.size, layout="constrained")
        chart.draw(figure)
        svg, pdf = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata=BARE)
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return _prefix_ids(
        svg.getvalue().replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif"), chart.name
    ), pdf.getvalue()


def as_file(svg: str) -> str:
    """Give an SVG for a file of its own: dark on white, legible on any page."""
    return svg.replace(PAPER, "#ffffff").replace(INK, "#1c2128")


def as_inline(svg: str, *, alt: str) -> str:
    """Give an SVG for the page: transparent, lines and text in the page's own color."""
    drawing = svg[svg.index("<svg") :].replace(PAPER, "none").replace(INK, "currentColor")
    words = alt.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        lambda m: f'<svg viewBox="{m[1]}" role="img" aria-label="{words}">',
        drawing,
        count=1,
    )


def render_formula(latex: str, prefix: str) -> str | None:
    """Draw mathematics as inline SVG of 1 em text; None where mathtext cannot parse it."""
    svg = _draw_formula(latex)
    if svg is None:
        return None
    inline = as_inline(_prefix_ids(svg, f"f{crc32(f'{prefix} {latex}'.encode()):x}"), alt=latex)
    width, height = (float(size) / 12 for size in re.findall(r"[\d.]+", svg.split('viewBox="0 0 ')[1])[:2])
    return inline.replace("<svg ", f'<svg style="width:{width:.2f}em;height:{height:.2f}em" ', 1)


@cache
def _draw_formula(latex: str) -> str | None:
    with _drawing(fonttype="path") as figure_class:
        figure = figure_class(figsize=(0.01, 0.01))
        figure.text(0, 0, f"${latex}$", fontsize=12)
        svg = io.StringIO()
        try:
            figure.savefig(svg, format="svg", bbox_inches="tight", pad_inches=0.02, transparent=True, metadata=BARE)
        except (ValueError, RuntimeError):
            return None
    return svg.getvalue()


@contextmanager
def _drawing(fonttype: str = "none") -> Iterator[Any]:
    """Lend matplotlib's Figure under this report's settings; the caller's settings come back after."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**SETTINGS, "svg.fonttype": fonttype}), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*[Gg]lyph.*"
        )  # a label's emoji: a box in the PDF, itself in the page
        yield Figure


def _prefix_ids(svg: str, prefix: str) -> str:
    """Keep the ids of several drawings on one page apart."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    return re.sub(r"url\(#", f"url(#{prefix}-", svg)
