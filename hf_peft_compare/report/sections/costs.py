"""Inference cost and forgetting: checkpoint files, latency, the effect of merging, and forgetting."""

from __future__ import annotations

from hf_peft_compare.comparison.columns import CHECKPOINT, LATENCY, FigureColumn
from hf_peft_compare.report.blocks import Block, Material, Section
from hf_peft_compare.report.sections.comparison import figure_table
from hf_peft_compare.utils.formatting import UNKNOWN, format_difference, format_milliseconds, format_significant


def _write_rate(value: float | None) -> str:
    return UNKNOWN if value is None else format_significant(value)


COLUMNS = [
    CHECKPOINT,
    LATENCY,
    FigureColumn(key="latency_32_seconds", title="Latency of 32 (ms)", write=format_milliseconds),
    FigureColumn(key="examples_per_second_32", title="Examples/s, batch of 32", write=_write_rate),
    FigureColumn(key="merged_latency_1_seconds", title="Merged latency (ms)", write=format_milliseconds),
    FigureColumn(key="merged_latency_32_seconds", title="Merged latency of 32 (ms)", write=format_milliseconds),
    FigureColumn(key="merged_loss_change", title="Loss change by merging", write=format_difference),
    FigureColumn(key="forgetting", title="Forgetting (nats per token)", write=format_difference),
]


def render_costs(material: Material) -> list[Block]:
    """Return a table of the measured costs; [] if no run measured any."""
    rows = material.comparison.rows
    shown = [column for column in COLUMNS if any(column.key in row.figures for row in rows)]
    if not shown:
        return []
    notes = [
        "Latency: the median time of a few calls for one example, or for a batch of 32: reading the prompt and "
        "generating eight tokens, or classifying the text. Merged: the same after merging the adapter into the plain "
        "model; a dash if the model is plain already or cannot be merged.",
        "Loss change by merging: the increase of the loss of the references of the same 32 test examples, in nats per "
        "label. Forgetting: the increase by training of the loss of a page of plain English that no task is about.",
    ]
    return [
        figure_table(
            material, name="costs", caption="Checkpoint size, latency, and forgetting.", columns=shown, notes=notes
        )
    ]


SECTION = Section(name="costs", title="Inference cost and forgetting", order=53, render=render_costs)
