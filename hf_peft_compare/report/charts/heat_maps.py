"""Heat maps of a grid of two keys: our scores, the reference's and the difference, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_peft_compare.report.charts.style import PAPER, THEME, Spec, short_label, unique_labels
from hf_peft_compare.utils.formatting import format_difference, format_score

DARK, LIGHT = "#000000", "#ffffff"  # chosen by the cell's color, independent of the page's
DIFFERENCE = "difference"


def heat_map_chart(
    values: Mapping[str, Sequence[object]],
    cells: Mapping[str, Mapping[str, object]],
    panels: Mapping[str, Mapping[str, float]],
    *,
    description: str,
) -> Spec:
    """Return panels side by side: scores with one color scale, and differences with a scale that is white at zero.

    Args:
        values: the two keys; the first one's values are rows, the second one's columns.
        cells: {row: {key: value}}; the last key's values vary fastest.
        panels: {title: {row: number}}; one of them may be DIFFERENCE.
    """
    scores = [number for name, numbers in panels.items() if name != DIFFERENCE for number in numbers.values()]
    widest = max(map(abs, panels.get(DIFFERENCE, {}).values()), default=0) or 1
    return {
        "description": short_label(description),
        "background": PAPER,
        "config": THEME,
        "spacing": 24,
        "resolve": {"scale": {"color": "independent"}},
        "hconcat": [
            _panel(
                name,
                values,
                cells,
                numbers,
                limits=(-widest, widest) if name == DIFFERENCE else (min(scores), max(scores)),
            )
            for name, numbers in panels.items()
        ],
    }


def _panel(
    name: str,
    values: Mapping[str, Sequence[object]],
    cells: Mapping[str, Mapping[str, object]],
    numbers: Mapping[str, float],
    *,
    limits: tuple[float, float],
) -> Spec:
    """Return one heat map with its numbers in it, the first key's values from top to bottom."""
    down, across = values
    lines, columns = (unique_labels([str(value) for value in values[key]]) for key in (down, across))
    places = [(line, column) for line in lines for column in columns]
    differs = name == DIFFERENCE
    write = format_difference if differs else format_score
    data = [
        {
            "y": line,
            "x": column,
            "number": numbers[row],
            "text": write(numbers[row]),
            "dark": _is_dark(numbers[row], limits, diverging=differs),
        }
        for row, (line, column) in zip(cells, places, strict=True)
        if row in numbers
    ]
    scheme = {"scheme": "purpleorange", "reverse": True} if differs else {"scheme": "cividis"}
    color = {"field": "number", "type": "quantitative", "legend": None, "scale": {**scheme, "domain": list(limits)}}
    ink = {"condition": {"test": "datum.dark", "value": LIGHT}, "value": DARK}
    return {
        "title": name,
        "width": {"step": 56},
        "height": {"step": 36},
        "data": {"values": data},
        "encoding": {
            "x": {**_axis("x", across, columns), "axis": {"labelAngle": 0}},
            "y": _axis("y", down, lines),
        },
        "layer": [
            {"mark": "rect", "encoding": {"color": color}},
            {"mark": {"type": "text", "fontSize": 11}, "encoding": {"text": {"field": "text"}, "color": ink}},
        ],
    }


def _axis(field: str, title: str, labels: Sequence[str]) -> Spec:
    return {"field": field, "type": "nominal", "title": short_label(title), "scale": {"domain": list(labels)}}


def _is_dark(number: float, limits: tuple[float, float], *, diverging: bool) -> bool:
    """Whether white reads better than black on a cell: the low half of cividis, both ends of violet to orange."""
    low, high = limits
    share = (number - low) / (high - low) if high > low else 0.5
    return abs(share - 0.5) > 0.35 if diverging else share < 0.5
