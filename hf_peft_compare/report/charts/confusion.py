"""The confusion matrix of one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_peft_compare.report.charts.style import Spec, frame, short_label, unique_labels

DARKEST = 0.75  # numbers must stay legible on top of it


def confusion_chart(
    title: str, counts: Mapping[tuple[str, str], int], *, labels: Sequence[str], answers: Sequence[str], color: str
) -> Spec:
    """Return a chart with a row per class and a column per answer; shades are shares of the row.

    Args:
        counts: {(class, answer): examples}.
    """
    lines, columns = unique_labels(labels), unique_labels(answers)
    values = []
    for line, label in zip(lines, labels, strict=True):
        examples = sum(counts.get((label, answer), 0) for answer in answers) or 1
        for column, answer in zip(columns, answers, strict=True):
            number = counts.get((label, answer), 0)
            values.append({"class": line, "answer": column, "share": number / examples, "text": f"{number:,}"})
    shade = {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1], "range": [0, DARKEST]}}
    across = {"field": "answer", "type": "nominal", "sort": None, "title": None}
    return {
        **frame(title, height=36 * len(labels), width=max(320, 150 + 60 * len(labels))),
        "title": short_label(title),
        "data": {"values": values},
        "encoding": {
            "x": {**across, "axis": {"labelAngle": -30 if len(answers) > 5 else 0}},
            "y": {"field": "class", "type": "nominal", "sort": None},
        },
        "layer": [
            {"mark": {"type": "rect", "color": color}, "encoding": {"fillOpacity": {**shade, "legend": None}}},
            {"mark": "text", "encoding": {"text": {"field": "text"}}},
        ],
    }
