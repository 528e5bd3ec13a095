"""Best validation loss over the learning rate, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.report.blocks import Material
from hf_peft_compare.report.charts.style import LOG_AXIS, LOG_SCALE, Spec, color_by_row, frame, label_rows, shape_by_row

Points = Sequence[tuple[float, float]]


def learning_rate_chart(
    material: Material, rows: Sequence[MethodRow], points: Mapping[str, Points], *, description: str
) -> Spec:
    """Return a chart of every row's trials on a logarithmic axis, with a ring around the selected one.

    Args:
        points: {row: (learning rate, best validation loss) of its trials}.
    """
    labels = label_rows(rows)
    values = [
        {"row": labels[row], "rate": rate, "loss": loss, "chosen": (rate, loss) == min(found, key=lambda one: one[1])}
        for row, found in points.items()
        for rate, loss in found
    ]
    rate = {"field": "rate", "type": "quantitative", "title": "learning rate"}
    ring = {"type": "point", "shape": "circle", "filled": False, "size": 420, "strokeWidth": 1.2, "opacity": 1}
    color = color_by_row(material, rows)
    return {
        **frame(description, height=320),
        "data": {"values": values},
        "encoding": {
            "x": {**rate, "scale": LOG_SCALE, "axis": {**LOG_AXIS, "format": "~g"}},
            "y": {
                "field": "loss",
                "type": "quantitative",
                "title": "best validation loss",
                "scale": {"zero": False, "padding": 20},
            },
            "color": color,
        },
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.2}},
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"shape": shape_by_row(material, rows)},
            },
            {"mark": ring, "transform": [{"filter": "datum.chosen"}]},
        ],
    }
