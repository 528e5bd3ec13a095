"""Best validation loss over the learning rate, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.report.blocks import Material
from hf_peft_compare.report.charts.style import LOG_AXIS, LOG_SCALE, Spec, color_by_row, frame, label_rows, shape_by_row

Points = Sequence[tuple[float, float, int]]  # steps: 0 where all trials have as many as a run


def learning_rate_chart(
    material: Material, rows: Sequence[MethodRow], points: Mapping[str, Points], *, description: str
) -> Spec:
    """Return a chart of every row's trials on a logarithmic axis, with a ring around the selected one.

    Args:
        points: {row: (learning rate, best validation loss, steps) of its trials}; a line connects trials of as many
            steps, and the ring is around the best of the longest ones.
    """
    labels = label_rows(rows)
    values = [
        {
            "row": labels[row],
            "rate": rate,
            "loss": loss,
            "steps": steps,
            "chosen": (rate, loss, steps) == best_of_longest(found),
        }
        for row, found in points.items()
        for rate, loss, steps in found
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
            {"mark": {"type": "line", "strokeWidth": 1.2}, "encoding": {"detail": {"field": "steps"}}},
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"shape": shape_by_row(material, rows)},
            },
            {"mark": ring, "transform": [{"filter": "datum.chosen"}]},
        ],
    }


def best_of_longest(points: Points) -> tuple[float, float, int]:
    """Return the trial with the lowest loss of those with the most steps: losses of shorter ones are no comparison."""
    most = max(steps for _, _, steps in points)
    return min((point for point in points if point[2] == most), key=lambda point: point[1])
