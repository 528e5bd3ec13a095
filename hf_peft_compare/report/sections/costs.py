"""The costs that are easily forgotten: files, latency, what merging does, what was forgotten."""

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
    FigureColumn(key="latency_32_seconds", title="Of 32 (ms)", write=format_milliseconds),
    FigureColumn(key="examples_per_second_32", title="Examples/s, 32 at once", write=_write_rate),
    FigureColumn(key="merged_latency_1_seconds", title="Merged (ms)", write=format_milliseconds),
    FigureColumn(key="merged_latency_32_seconds", title="Of 32, merged (ms)", write=format_milliseconds),
    FigureColumn(key="merged_loss_change", title="Loss by merging", write=format_difference),
    FigureColumn(key="forgetting", title="Forgetting (nats per token)", write=format_difference),
]


def render_costs(material: Material) -> list[Block]:
    """Tabulate what was measured of them; nothing where no run did."""
    rows = material.comparison.rows
    shown = [column for column in COLUMNS if any(column.key in row.figures for row in rows)]
    if not shown:
        return []
    notes = [
        "Latency: one call for one example, or for 32 at once, the median of a few: the prompt read and eight tokens "
        "written, or the text classified. Merged: the same of the plain model that the adapter was merged into; a dash "
        "where it is plain already, or cannot be.",
        "Loss by merging: what it added to the loss of the references of the same 32 test examples, in nats per label. "
        "Forgetting: what training added to the loss of a page of plain English that no task is about.",
    ]
    return [figure_table(material, name="costs", caption="In use, on disk, and lost.", columns=shown, notes=notes)]


SECTION = Section(name="costs", title="What is easily forgotten", order=53, render=render_costs)
