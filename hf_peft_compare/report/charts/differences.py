"""Chart of the differences of all rows from one, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hf_peft_compare.comparison import PairedDifference
from hf_peft_compare.comparison.columns import ranking_column
from hf_peft_compare.report.blocks import Live, Material, Menu
from hf_peft_compare.report.charts.style import Spec, color_by_row, frame, label_rows, shape_by_row, short_label
from hf_peft_compare.utils.formatting import format_difference, format_interval, format_p_value


def difference_chart(material: Material, *, description: str) -> Live:
    """Return a chart of all rows against a selected one, initially the best."""
    comparison = material.comparison
    known = [pair for pair in comparison.pairs if pair.interval.known]
    pairs = [oriented for pair in known for oriented in (pair, pair.reversed())]
    labels = label_rows(comparison.finished_rows)
    compared = {pair.other for pair in pairs}
    others = sorted((row for row in labels if row in compared), key=lambda row: row != comparison.best_row)
    title = short_label(ranking_column(comparison).title)
    spec = {
        **frame(description, height=34 * max(1, len(others) - 1)),
        "data": {"values": [_difference(pair, labels) for pair in pairs]},
        "transform": [{"filter": {"field": "other", "equal": ""}}],
        "encoding": {
            "x": {"field": "mean", "type": "quantitative", "title": title},
            "y": {"field": "row", "type": "nominal", "title": None, "sort": {"field": "mean", "order": "descending"}},
        },
        "layer": list(_layers(material, title)),
    }
    options = [(labels[row], _compare_with(labels[row], title)) for row in others]
    return Live(spec=spec, menus=[Menu(title="Compare with", options=options)])


def _layers(material: Material, title: str) -> Iterator[Spec]:
    """Yield a line at zero, the intervals, and the means: filled where the difference is significant."""
    rows = material.comparison.finished_rows
    color = {**color_by_row(material, rows), "legend": None}
    tooltip = {"row": "Method", "other": "minus", "text": "Difference", "interval": "95 % interval", "p": "Adjusted p"}
    yield {
        "mark": {"type": "rule", "strokeDash": [5, 4], "color": "gray"},
        "encoding": {"x": {"datum": 0}, "y": {"value": 0}, "y2": {"value": "height"}},
    }
    yield {
        "mark": {"type": "rule", "strokeWidth": 1.6},
        "encoding": {"x": {"field": "low", "title": title}, "x2": {"field": "high"}, "color": color},
    }
    yield {
        "mark": {"type": "point", "size": 110, "strokeWidth": 2, "opacity": 1},
        "encoding": {
            "color": color,
            "shape": {**shape_by_row(material, rows), "legend": None},
            "fill": {"condition": {"test": "datum.significant", **color}, "value": "transparent"},
            "tooltip": [{"field": field, "title": words} for field, words in tooltip.items()],
        },
    }


def _compare_with(label: str, title: str) -> Spec:
    words = f"{title} minus that of {label}"
    return {"transform.0.filter.equal": label, "encoding.x.title": words, "layer.1.encoding.x.title": words}


def _difference(pair: PairedDifference, labels: Mapping[str, str]) -> Spec:
    return {
        "row": labels[pair.row],
        "other": labels[pair.other],
        "mean": pair.mean,
        "low": pair.interval.low,
        "high": pair.interval.high,
        "significant": pair.significant,
        "text": format_difference(pair.mean),
        "interval": format_interval(pair.interval, signed=True),
        "p": format_p_value(pair.adjusted_p_value),
    }
