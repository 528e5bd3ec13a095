"""Scores against costs: every row as a point, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_peft_compare.comparison import Comparison, MethodRow
from hf_peft_compare.comparison.columns import (
    PARAMETERS,
    FigureColumn,
    cost_columns,
    main_scores,
    ranking_column,
    score_column,
)
from hf_peft_compare.report.blocks import Live, Material, Menu
from hf_peft_compare.report.charts.drawing import with_settings
from hf_peft_compare.report.charts.style import (
    LOG_AXIS,
    LOG_SCALE,
    NARROW,
    Spec,
    color_by_row,
    frame,
    label_rows,
    shape_by_row,
    short_label,
)
from hf_peft_compare.utils.formatting import (
    UNKNOWN,
    format_interval,
    format_megabytes,
    format_milliseconds,
    format_seconds,
)

UNITS = {format_megabytes: 1e-6, format_milliseconds: 1e3}  # scale factors of figures that are not shown in raw units
EVALUATION_TIME = FigureColumn(
    key="evaluation_seconds", title="Evaluation time (s)", write=format_seconds, greater_is_better=False
)


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """A live scatter plot, and the settings that put a figure on one of its axes: {the figure's key: settings}."""

    live: Live
    across: Mapping[str, Mapping[str, Any]]
    up: Mapping[str, Mapping[str, Any]]

    def printed(self, *, across: str, up: str) -> Spec:
        """Return the specification with two figures on its axes, narrow, for several charts side by side."""
        size = {"width": NARROW, "height": 270}
        return with_settings(self.live.spec, {**self.across[across], **self.up[up], **size})


def scatter_chart(material: Material, *, description: str) -> Scatter:
    """Return a chart of every row as a point for any two of the costs and scores, with their Pareto front."""
    comparison = material.comparison
    scores = [score_column(comparison, name) for name in main_scores(comparison)]
    ranking = ranking_column(comparison).key
    scores.sort(key=lambda column: column.key != ranking)  # the ranking score comes first
    costs = [*cost_columns(comparison), EVALUATION_TIME]
    columns = [column for column in [*costs, *scores] if _known(comparison, column)]
    across = {column.key: _set_x(place, column) for place, column in enumerate(columns)}
    up = {column.key: _set_y(place, column) for place, column in enumerate(columns)}
    first_up = sorted(columns, key=lambda column: not column.is_score)
    menus = [_menu("Across", columns, across), _menu("Up", first_up, up)]
    return Scatter(live=Live(spec=_spec(material, columns, description), menus=menus), across=across, up=up)


def _spec(material: Material, columns: Sequence[FigureColumn], description: str) -> Spec:
    rows = material.comparison.finished_rows
    labels = label_rows(rows)
    return {
        **frame(description, height=380),
        "data": {"values": [_figures(row, labels[row.row], columns) for row in rows]},
        "params": [{"name": "x_sign", "value": 1}, {"name": "y_sign", "value": 1}],
        "transform": [
            *({"calculate": "null", "as": name} for name in ("x", "y", "low", "high")),
            {"filter": "isValid(datum.y)"},
        ],
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative"},
        },
        "layer": [
            _interval_layer(material),
            *_floor_layers(material),
            _front_layer(),
            _point_layer(material, columns),
        ],
    }


def _menu(title: str, columns: Sequence[FigureColumn], settings: Mapping[str, Mapping[str, object]]) -> Menu:
    return Menu(title=title, options=[(short_label(column.title), settings[column.key]) for column in columns])


def _known(comparison: Comparison, column: FigureColumn) -> bool:
    return any(_number(row, column) is not None for row in comparison.finished_rows)


def _figures(row: MethodRow, label: str, columns: Sequence[FigureColumn]) -> Spec:
    """Return a row's numbers as v0, v1 …, with their bounds low0, high0 …, and as formatted text in t0, t1 …"""
    figures: Spec = {"row": label, "floor": row.floor}
    for place, column in enumerate(columns):
        value, interval = _number(row, column), row.intervals.get(column.key)
        figures[f"v{place}"], figures[f"t{place}"] = value, UNKNOWN
        if value is not None:
            figures[f"t{place}"] = column.write(row.figures[column.key])
            if interval is not None and interval.known:
                figures[f"low{place}"], figures[f"high{place}"] = interval.low, interval.high
                figures[f"t{place}"] += f" ({format_interval(interval)})"
    return figures


def _number(row: MethodRow, column: FigureColumn) -> float | None:
    """Return a figure in the unit of its title, or None if it is unknown or a cost that the row does not have."""
    value = row.figures.get(column.key)
    if value is None or not math.isfinite(value) or (row.floor and not column.is_score and not value):
        return None
    return value * UNITS.get(column.write, 1)


def _set_x(place: int, column: FigureColumn) -> Spec:
    given = {"transform.0.calculate": f"datum.v{place}", "params.0.value": -1 if column.greater_is_better else 1}
    return given | _set_axis("x", column)


def _set_y(place: int, column: FigureColumn) -> Spec:
    names = ("v", "low", "high")
    given: Spec = {f"transform.{1 + n}.calculate": f"datum.{name}{place}" for n, name in enumerate(names)}
    given["params.1.value"] = 1 if column.greater_is_better else -1
    given["layer.0.encoding.y.title"] = short_label(
        column.title
    )  # for the bounds too: Vega-Lite joins titles that differ
    return given | _set_axis("y", column)


def _set_axis(axis: str, column: FigureColumn) -> Spec:
    log = column is PARAMETERS
    linear: Spec = {"zero": False, "padding": 16} if column.is_score else {"zero": True, "nice": False, "padding": 14}
    return {
        f"encoding.{axis}.title": short_label(column.title),
        f"encoding.{axis}.scale": LOG_SCALE if log else linear,
        f"encoding.{axis}.axis": {**LOG_AXIS, "format": "~s", "tickCount": 4} if log else {},
    }


def _floor_layers(material: Material) -> Iterator[Spec]:
    """Yield the layers of untrained rows, which have no x value: a line across the chart, and its label at the end."""
    color = color_by_row(material, material.comparison.finished_rows)
    floors = {"filter": "!isValid(datum.x)"}
    tooltip = [{"field": "row", "title": "Method"}, {"field": "y", "title": "value", "format": ".4~g"}]
    yield {
        "transform": [floors],
        "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.5},
        "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "color": color, "tooltip": tooltip},
    }
    numbered = {"window": [{"op": "row_number", "as": "number"}], "sort": [{"field": "y"}]}
    below_or_above = {"expr": "datum.number % 2 ? 9 : -8"}  # otherwise the labels of two close lines would overlap
    yield {
        "transform": [floors, numbered],
        "mark": {"type": "text", "align": "right", "dx": -3, "dy": below_or_above, "limit": {"expr": "width - 6"}},
        "encoding": {"x": {"value": "width"}, "text": {"field": "row"}, "color": color},
    }


def _front_layer() -> Spec:
    """Return the layer of the Pareto front as steps: rows that no other row dominates."""
    return {
        "transform": [
            {"calculate": "isValid(datum.x) ? x_sign * datum.x : -1 / 0", "as": "cost"},  # untrained: no cost
            {"calculate": "y_sign * datum.y", "as": "gain"},
            {
                "window": [{"op": "max", "field": "gain", "as": "best"}],
                "sort": [{"field": "cost"}, {"field": "gain", "order": "descending"}],
                "frame": [None, 0],
            },
            {"filter": "datum.gain >= datum.best && isValid(datum.x)"},
        ],
        "mark": {
            "type": "line",
            "interpolate": "step-after",
            "strokeDash": [2, 3],
            "color": "gray",
            "strokeWidth": 1.2,
        },
    }


def _interval_layer(material: Material) -> Spec:
    return {
        "transform": [{"filter": "isValid(datum.x) && isValid(datum.low)"}],
        "mark": {"type": "rule", "strokeWidth": 1.6},
        "encoding": {
            "y": {"field": "low", "type": "quantitative"},
            "y2": {"field": "high"},
            "color": color_by_row(material, material.comparison.finished_rows),
        },
    }


def _point_layer(material: Material, columns: Sequence[FigureColumn]) -> Spec:
    tooltip = [{"field": f"t{place}", "title": short_label(column.title)} for place, column in enumerate(columns)]
    return {
        "transform": [{"filter": "isValid(datum.x)"}],
        "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1},
        "encoding": {
            "color": color_by_row(material, material.comparison.finished_rows),
            "shape": shape_by_row(material, material.comparison.finished_rows),
            "tooltip": [{"field": "row", "title": "Method"}, *tooltip],
        },
    }
