"""Shared parts of all charts: the color and marker of a row, labels, the frame and its theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.report.blocks import MANY_ROWS, Material
from hf_peft_compare.report.escaping import cap, visible

# The colors of Okabe and Ito (2008), which color-blind readers can distinguish, without yellow: too pale on white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#b8609a", "#c98a00", "#3a9bd4")
FLOOR_COLORS = ("#8a8f98", "#a89078")
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "triangle-right")
# Near-black and near-white placeholders, replaced by the colors of the page or the paper when a chart is shown.
INK, PAPER = "#0a0b0c", "#fafbfc"
# vl-convert includes Liberation Sans; the others have the same widths, so that labels fit wherever they are shown.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
WIDE, NARROW = 680, 420  # pixels
LEGEND_LENGTH = 24  # characters that its lines have room for
_TEXT = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
_LINES = {"gridColor": INK, "gridOpacity": 0.12, "domainColor": INK, "domainOpacity": 0.6, "tickColor": INK}
Spec: TypeAlias = dict[str, Any]  # a Vega-Lite specification, or a part of one

THEME: Spec = {
    "font": FONT,
    "axis": {**_TEXT, **_LINES, "tickOpacity": 0.6, "labelLimit": {"expr": "max(150, width / 3)"}},
    "axisX": {"tickCount": {"expr": "max(3, floor(width / 110))"}, "titleLimit": {"expr": "width"}},
    "axisY": {"titleLimit": {"expr": "height"}},
    "legend": {
        **_TEXT,
        "orient": "bottom",
        "columns": {"expr": "max(1, floor(width / 180))"},
        "labelLimit": 160,
        "symbolSize": 90,
        "symbolOpacity": 1,
    },
    "text": {"color": INK, "fontSize": 12},
    "title": {"color": INK, "fontSize": 12, "fontWeight": "normal"},
    "view": {"stroke": None},
}

LOG_SCALE = {"type": "log", "nice": False, "padding": 24}
_IS_POWER_OF_TEN = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
LOG_AXIS = {"gridOpacity": {"condition": {"test": _IS_POWER_OF_TEN, "value": 1}, "value": 0.25}}


def assign_colors(rows: Sequence[MethodRow]) -> dict[str, str]:
    """Return the color of every row: grays for untrained rows, the palette in order for others; colors repeat."""
    colors: dict[str, str] = {}
    for palette, floor in ((COLORS, False), (FLOOR_COLORS, True)):
        members = [row for row in rows if row.floor is floor]
        colors.update({row.row: palette[place % len(palette)] for place, row in enumerate(members)})
    return {row.row: colors[row.row] for row in rows}


def assign_markers(rows: Sequence[MethodRow]) -> dict[str, str]:
    """Return the marker of every row, so that charts can be read without color."""
    ordered = sorted(rows, key=lambda row: row.floor)
    return {row.row: MARKERS[place % len(MARKERS)] for place, row in enumerate(ordered)}


def short_label(text: str) -> str:
    """Return a text shortened to fit a legend or an axis, on one line."""
    return " ".join(cap(visible(text), 40).split())


def unique_labels(texts: Sequence[str]) -> list[str]:
    """Return a short label of each text; labels that are equal after cutting are numbered: charts group by label."""
    labels: list[str] = []
    for label in map(short_label, texts):
        numbered = (f"{label} #{number}" for number in range(2, len(texts) + 2))
        labels.append(label if label not in labels else next(name for name in numbered if name not in labels))
    return labels


def label_rows(rows: Sequence[MethodRow]) -> dict[str, str]:
    """Return {row: its label in charts}: of many rows the name, where the label is longer than a legend's line."""
    short = [row.row if len(rows) > MANY_ROWS and len(row.label) > LEGEND_LENGTH else row.label for row in rows]
    return dict(zip([row.row for row in rows], unique_labels(short), strict=True))


def frame(description: str, *, height: object, width: int = WIDE) -> Spec:
    """Return the common part of all specifications; the page sets the width to that of the container."""
    return {
        "description": visible(cap(description, 1000)),
        "width": width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": PAPER,
        "config": THEME,
    }


def color_by_row(material: Material, rows: Sequence[MethodRow]) -> Spec:
    """Return the encoding that assigns every row its color."""
    return _by_row(rows, [material.colors[row.row] for row in rows])


def shape_by_row(material: Material, rows: Sequence[MethodRow]) -> Spec:
    """Return the encoding that assigns every row its marker."""
    return _by_row(rows, [material.markers[row.row] for row in rows])


def _by_row(rows: Sequence[MethodRow], values: list[str]) -> Spec:
    scale = {"domain": list(label_rows(rows).values()), "range": values}
    return {"field": "row", "type": "nominal", "title": None, "scale": scale}
