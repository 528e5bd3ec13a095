"""The charts that can be asked, as Vega-Lite: hover, choose axes, choose whom to compare with.

Specifications are plain data; the page draws them. Paths such as "transform.0.calculate" are what its menus set.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

from hf_peft_compare.comparison import Comparison, MethodRow, PairedDifference
from hf_peft_compare.comparison.columns import (
    PARAMETERS,
    FigureColumn,
    cost_columns,
    main_scores,
    ranking_column,
    score_column,
)
from hf_peft_compare.report.blocks import Live, Material, Menu
from hf_peft_compare.report.charts import short_label
from hf_peft_compare.report.escaping import cap, visible
from hf_peft_compare.utils.formatting import (
    UNKNOWN,
    format_difference,
    format_interval,
    format_megabytes,
    format_milliseconds,
    format_p_value,
    format_seconds,
)

SHAPES = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "^": "triangle-up",
    "v": "triangle-down",
    "P": "cross",
    "X": "triangle-right",
}
UNITS = {format_megabytes: 1e-6, format_milliseconds: 1e3}  # of what is not shown in its raw unit
MOST_POINTS = 300  # of one run's training curve: more than a screen can show
BUNDLE = (
    "import sys, vl_convert as v; sys.stdout.buffer.write(v.javascript_bundle('window.vegaEmbed = vegaEmbed').encode())"
)
EVALUATION_TIME = FigureColumn(
    key="evaluation_seconds", title="Evaluation time (s)", write=format_seconds, greater_is_better=False
)


@cache
def bundle_vega() -> Future[str]:
    """Begin to bundle Vega, Vega-Lite and Vega-Embed into one script that needs no network.

    It takes a second or two of one core, hence a process of its own while the rest of the report is made.
    """
    pool = ThreadPoolExecutor(1)
    command = [sys.executable, "-c", BUNDLE]
    made = pool.submit(lambda: subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout)
    pool.shutdown(wait=False)
    return made


# --- Scores against costs -------------------------------------------------------------------------------------


def live_scatter(material: Material, *, description: str) -> Live:
    """Give every row as a point between any two of the costs and scores there are, with the front of these."""
    comparison = material.comparison
    scores = [score_column(comparison, name) for name in main_scores(comparison)]
    ranking = ranking_column(comparison).key
    scores.sort(key=lambda column: column.key != ranking)  # the score that ranks first
    costs = [*cost_columns(comparison), EVALUATION_TIME]
    columns = [column for column in [*costs, *scores] if _known(comparison, column)]
    values = [_figures(row, columns) for row in comparison.finished_rows]
    first_score = next(place for place, column in enumerate(columns) if column.is_score)
    spec = {
        **_frame(description),
        "height": 380,
        "data": {"values": values},
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
    axes = {
        "Across": [_set_x(place, column) for place, column in enumerate(columns)],
        "Up": [_set_y(place, column) for place, column in _rotate(list(enumerate(columns)), first_score)],
    }
    return Live(spec=spec, menus=[Menu(title=title, options=options) for title, options in axes.items()])


def _known(comparison: Comparison, column: FigureColumn) -> bool:
    return any(_number(row, column) is not None for row in comparison.finished_rows)


def _rotate(entries: list[Any], by: int) -> list[Any]:
    return entries[by:] + entries[:by]


def _figures(row: MethodRow, columns: Sequence[FigureColumn]) -> dict[str, Any]:
    """Give a row's numbers as v0, v1 … with their bounds low0, high0 …, and as they are written in t0, t1 …"""
    figures: dict[str, Any] = {"row": short_label(row.label), "floor": row.floor}
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
    """Give a figure in the unit of its title; None where it is unknown, or a cost that the row does not have."""
    value = row.figures.get(column.key)
    if value is None or not math.isfinite(value) or (row.floor and not column.is_score and not value):
        return None
    return value * UNITS.get(column.write, 1)


def _set_x(place: int, column: FigureColumn) -> tuple[str, dict[str, Any]]:
    given = {"transform.0.calculate": f"datum.v{place}", "params.0.value": -1 if column.greater_is_better else 1}
    return short_label(column.title), given | _set_axis("x", column)


def _set_y(place: int, column: FigureColumn) -> tuple[str, dict[str, Any]]:
    names = ("v", "low", "high")
    given: dict[str, Any] = {f"transform.{1 + n}.calculate": f"datum.{name}{place}" for n, name in enumerate(names)}
    given["params.1.value"] = 1 if column.greater_is_better else -1
    given["layer.0.encoding.y.title"] = short_label(column.title)  # the bounds' own; two titles that differ are joined
    return short_label(column.title), given | _set_axis("y", column)


def _set_axis(axis: str, column: FigureColumn) -> dict[str, Any]:
    log = column is PARAMETERS
    scale = {"type": "log", "nice": False, "padding": 24} if log else {"zero": False, "padding": 16}
    return {
        f"encoding.{axis}.title": short_label(column.title),
        f"encoding.{axis}.scale": scale,
        f"encoding.{axis}.axis": {"format": "~s", "tickCount": 4} if log else {},
    }


def _floor_layers(material: Material) -> Iterator[dict[str, Any]]:
    """Draw what has no place across, since it trains nothing, as a line from side to side with its name."""
    floors = [{"filter": "!isValid(datum.x)"}]
    tooltip = [{"field": "row", "title": "Method"}, {"field": "y", "title": "value", "format": ".4~g"}]
    side_to_side = {"x": {"value": 0}, "x2": {"value": "width"}, "color": _color(material), "tooltip": tooltip}
    yield {
        "transform": floors,
        "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.5},
        "encoding": side_to_side,
    }
    yield {
        "transform": floors,
        "mark": {"type": "text", "align": "left", "dx": 5, "dy": -8},
        "encoding": {"x": {"value": 0}, "text": {"field": "row"}, "color": _color(material)},
    }


def _front_layer() -> dict[str, Any]:
    """Draw the front in steps: what no other row beats in both."""
    return {
        "transform": [
            {"calculate": "isValid(datum.x) ? x_sign * datum.x : -1 / 0", "as": "cost"},  # a floor costs nothing
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


def _interval_layer(material: Material) -> dict[str, Any]:
    return {
        "transform": [{"filter": "isValid(datum.x) && isValid(datum.low)"}],
        "mark": {"type": "rule", "strokeWidth": 1.6},
        "encoding": {
            "y": {"field": "low", "type": "quantitative"},
            "y2": {"field": "high"},
            "color": _color(material),
        },
    }


def _point_layer(material: Material, columns: Sequence[FigureColumn]) -> dict[str, Any]:
    tooltip = [{"field": f"t{place}", "title": short_label(column.title)} for place, column in enumerate(columns)]
    return {
        "transform": [{"filter": "isValid(datum.x)"}],
        "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1},
        "encoding": {
            "color": _color(material),
            "shape": _shape(material),
            "tooltip": [{"field": "row", "title": "Method"}, *tooltip],
        },
    }


# --- Losses over epochs ---------------------------------------------------------------------------------------


def live_losses(material: Material, rows: Sequence[MethodRow], *, unit: str, description: str) -> Live:
    """Give both losses of every run over epochs; a click on the legend leaves one row in front."""
    points = [point for row in rows for run in row.runs if run.record for point in _losses(row, run.record)]
    shown = {"condition": {"param": "chosen", "value": 1}, "value": 0.12}
    legend = {"name": "chosen", "select": {"type": "point", "fields": ["row"]}, "bind": "legend"}
    thin = {"mark": {"type": "line", "strokeWidth": 0.9}, "encoding": {"opacity": shown}, "params": [legend]}
    thick = {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"opacity": shown}}
    dots = {
        "mark": {"type": "point", "filled": True, "size": 55},
        "encoding": {
            "opacity": shown,
            "shape": _shape(material, rows),
            "tooltip": [
                {"field": "run", "title": "Run"},
                {"field": "epoch", "title": "Epoch", "format": ".4~g"},
                {"field": "loss", "title": "Validation loss", "format": ".4f"},
            ],
        },
    }
    spec = {
        **_frame(description),
        "height": 380,
        "data": {"values": points},
        "transform": [{"filter": "true"}],
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "title": "epoch"},
            "y": {
                "field": "loss",
                "type": "quantitative",
                "title": short_label(f"loss ({unit})"),
            },
            "color": _color(material, rows),
            "detail": {"field": "run"},
        },
        "layer": [
            {"transform": [{"filter": f"datum.validation == {wanted}"}], **layer}
            for wanted, layer in (("false", thin), ("true", thick), ("true", dots))
        ],
    }
    losses = {"training and validation": "true", "validation": "datum.validation", "training": "!datum.validation"}
    return Live(
        spec=spec,
        menus=[
            Menu(title="Loss", options=[(title, {"transform.0.filter": kept}) for title, kept in losses.items()]),
            Menu(title="Scale", options=[(kind, {"encoding.y.scale": {"type": kind}}) for kind in ("linear", "log")]),
        ],
    )


def _losses(row: MethodRow, record: Any) -> Iterator[dict[str, Any]]:
    """Give the points of a run's two curves; a long training curve is thinned."""
    label = short_label(row.label)
    run = label if len(row.runs) == 1 else f"{label}, seed {record.seed}"
    for key, validation in (("loss", False), ("eval_loss", True)):
        values = [(entry.place, getattr(entry, key)) for entry in record.history]
        points = [(place, value) for place, value in values if value is not None and math.isfinite(value)]
        for epoch, loss in points[:: math.ceil(len(points) / MOST_POINTS) or 1]:
            yield {"row": label, "run": run, "epoch": epoch, "loss": loss, "validation": validation}


# --- Differences to one row -----------------------------------------------------------------------------------


def live_differences(material: Material, *, description: str) -> Live:
    """Give all rows against one of choice, at first the best."""
    comparison = material.comparison
    known = [pair for pair in comparison.pairs if pair.interval.known]
    pairs = [oriented for pair in known for oriented in (pair, pair.reversed())]
    labels = {row.row: short_label(row.label) for row in comparison.finished_rows}
    compared = {pair.other for pair in pairs}
    others = sorted((row for row in labels if row in compared), key=lambda row: row != comparison.best_row)
    title = short_label(ranking_column(comparison).title)
    color = _color(material)
    color["legend"] = None
    middle = {"datum": 0}, {"value": 0}, {"value": "height"}
    spec = {
        **_frame(description),
        "height": 34 * max(1, len(others) - 1),
        "data": {"values": [_difference(pair, labels) for pair in pairs]},
        "transform": [{"filter": {"field": "other", "equal": ""}}],
        "encoding": {
            "x": {"field": "mean", "type": "quantitative", "title": title},
            "y": {"field": "row", "type": "nominal", "title": None, "sort": {"field": "mean", "order": "descending"}},
        },
        "layer": [
            {
                "mark": {"type": "rule", "strokeDash": [5, 4], "color": "gray"},
                "encoding": dict(zip(("x", "y", "y2"), middle, strict=True)),
            },
            {
                "mark": {"type": "rule", "strokeWidth": 1.6},
                "encoding": {"x": {"field": "low", "title": title}, "x2": {"field": "high"}, "color": color},
            },
            {
                "mark": {"type": "point", "size": 110, "strokeWidth": 2, "opacity": 1},
                "encoding": {
                    "color": color,
                    "shape": {**_shape(material), "legend": None},
                    "fill": {"condition": {"test": "datum.told", **color}, "value": "transparent"},
                    "tooltip": [
                        {"field": "row", "title": "Method"},
                        {"field": "other", "title": "minus"},
                        {"field": "text", "title": "Difference"},
                        {"field": "interval", "title": "95 % interval"},
                        {"field": "p", "title": "Adjusted p"},
                    ],
                },
            },
        ],
    }
    options = [(labels[row], _compare_with(labels[row], title)) for row in others]
    return Live(spec=spec, menus=[Menu(title="Compare with", options=options)])


def _compare_with(label: str, title: str) -> dict[str, Any]:
    words = f"{title} minus that of {label}"
    return {"transform.0.filter.equal": label, "encoding.x.title": words, "layer.1.encoding.x.title": words}


def _difference(pair: PairedDifference, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "row": labels[pair.row],
        "other": labels[pair.other],
        "mean": pair.mean,
        "low": pair.interval.low,
        "high": pair.interval.high,
        "told": pair.told_apart,
        "text": format_difference(pair.mean),
        "interval": format_interval(pair.interval, signed=True),
        "p": format_p_value(pair.adjusted_p_value),
    }


# --- What all have in common ----------------------------------------------------------------------------------


def _frame(description: str) -> dict[str, Any]:
    return {
        "description": visible(cap(description, 1000)),
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
    }


def _color(material: Material, rows: Sequence[MethodRow] | None = None) -> dict[str, Any]:
    """Give every row its own color, as in all charts."""
    return _by_row(material, rows, [material.colors[row.row] for row in _drawn(material, rows)])


def _shape(material: Material, rows: Sequence[MethodRow] | None = None) -> dict[str, Any]:
    """Give every row its own marker, as in all charts."""
    return _by_row(material, rows, [SHAPES[material.markers[row.row]] for row in _drawn(material, rows)])


def _by_row(material: Material, rows: Sequence[MethodRow] | None, given: list[str]) -> dict[str, Any]:
    labels = [short_label(row.label) for row in _drawn(material, rows)]
    return {"field": "row", "type": "nominal", "title": None, "scale": {"domain": labels, "range": given}}


def _drawn(material: Material, rows: Sequence[MethodRow] | None) -> Sequence[MethodRow]:
    return material.comparison.finished_rows if rows is None else rows
