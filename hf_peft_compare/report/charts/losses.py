"""Training and validation loss over epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.report.blocks import MANY_ROWS, Live, Material, Menu
from hf_peft_compare.report.charts.style import Spec, color_by_row, frame, label_rows, shape_by_row, short_label

MOST_POINTS = 300  # per training curve: more than a screen can show
MOST_POINTS_IN_ALL = 6_000  # of the training curves of a chart, which make the page heavy
LOSSES = {"training and validation": "true", "validation": "datum.validation", "training": "!datum.validation"}
SCALES = {"linear": {"type": "linear", "zero": False}, "log": {"type": "log"}}


def loss_chart(material: Material, rows: Sequence[MethodRow], *, unit: str, description: str) -> Live:
    """Return a chart of both losses of every run over epochs; a click on the legend highlights one row.

    Of many rows, validation is shown first: a line per run.
    """
    layers = [
        {"transform": [{"filter": f"{kept}datum.validation"}], **layer} for kept, layer in _layers(material, rows)
    ]
    spec = {
        **frame(description, height=380),
        "data": {"values": list(_points(rows))},
        "transform": [{"filter": "true"}],
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "title": "epoch"},
            "y": {"field": "loss", "type": "quantitative", "title": short_label(f"loss ({unit})")},
            "color": color_by_row(material, rows),
            "detail": {"field": "run"},
        },
        "layer": layers,
    }
    titles = sorted(LOSSES, key=lambda title: title != "validation") if len(rows) > MANY_ROWS else LOSSES
    losses = Menu(title="Loss", options=[(title, {"transform.0.filter": LOSSES[title]}) for title in titles])
    scale = Menu(title="Scale", options=[(kind, {"encoding.y.scale": scale}) for kind, scale in SCALES.items()])
    return Live(spec=spec, menus=[losses, scale])


def _layers(material: Material, rows: Sequence[MethodRow]) -> Iterator[tuple[str, Spec]]:
    """Yield the layers: training in thin lines, validation in thick ones with markers."""
    opacity = {"opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.12}}
    legend = {"name": "chosen", "select": {"type": "point", "fields": ["row"]}, "bind": "legend"}
    tooltip = [
        {"field": "run", "title": "Run"},
        {"field": "epoch", "title": "Epoch", "format": ".4~g"},
        {"field": "loss", "title": "Validation loss", "format": ".4f"},
    ]
    yield "!", {"mark": {"type": "line", "strokeWidth": 0.9}, "encoding": opacity, "params": [legend]}
    yield "", {"mark": {"type": "line", "strokeWidth": 2}, "encoding": opacity}
    dots = {**opacity, "shape": shape_by_row(material, rows), "tooltip": tooltip}
    yield "", {"mark": {"type": "point", "filled": True, "size": 55}, "encoding": dots}


def _points(rows: Sequence[MethodRow]) -> Iterator[Spec]:
    """Yield the points of every run's two curves; a long training curve is thinned."""
    labels = label_rows(rows)
    runs = [(row, run.record) for row in rows for run in row.runs if run.record]
    most = max(1, min(MOST_POINTS, MOST_POINTS_IN_ALL // max(1, len(runs))))
    for row, record in runs:
        label = labels[row.row]
        name = label if len(row.runs) == 1 else f"{label}, seed {record.seed}"
        for key in ("loss", "eval_loss"):
            values = [(entry.place, getattr(entry, key)) for entry in record.history]
            points = [(epoch, loss) for epoch, loss in values if loss is not None and math.isfinite(loss)]
            for epoch, loss in points[:: math.ceil(len(points) / most) or 1]:
                place, height = float(f"{epoch:.5g}"), float(f"{loss:.5g}")
                yield {"row": label, "run": name, "epoch": place, "loss": height, "validation": key != "loss"}
