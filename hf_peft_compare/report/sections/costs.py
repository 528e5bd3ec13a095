"""Inference cost and forgetting: checkpoint files, latency, the effect of merging, and forgetting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hf_peft_compare.comparison import MethodRow, RunRow
from hf_peft_compare.comparison.columns import CHECKPOINT, LATENCY, FigureColumn
from hf_peft_compare.comparison.rows import change_of
from hf_peft_compare.report.blocks import Block, Material, Section
from hf_peft_compare.report.sections.comparison import figure_table
from hf_peft_compare.utils.formatting import (
    UNKNOWN,
    format_difference,
    format_milliseconds,
    format_score,
    format_significant,
)


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
    tasks = list(dict.fromkeys(task for row in rows for run in row.finished_runs for task in _tasks(run)))
    changes = [FigureColumn(key=change_of(task), title=f"Change in {task}", write=format_difference) for task in tasks]
    shown = [column for column in [*COLUMNS, *changes] if any(column.key in row.figures for row in rows)]
    if not shown:
        return []
    notes = [
        "Latency: the median time of a few calls for one example, or for a batch of 32: reading the prompt and "
        "generating eight tokens, or classifying the text. Merged: the same after merging the adapter into the plain "
        "model; a dash if the model is plain already or cannot be merged.",
        "Loss change by merging: the increase of the loss of the references of the same 32 test examples, in nats per "
        "label. Forgetting: the increase by training of the loss of a page of plain English that no task is about.",
    ]
    if tasks:
        notes.append(
            "Change in a task of lm-evaluation-harness: the share of right answers (acc) of the adapted model minus "
            "that of its untouched base, on the same documents, with its 95 % interval. "
            + _untouched_shares(rows, tasks)
        )
    return [
        figure_table(
            material, name="costs", caption="Checkpoint size, latency, and forgetting.", columns=shown, notes=notes
        )
    ]


def _tasks(run: RunRow) -> Iterable[str]:
    return run.record.costs.answers if run.record and run.record.costs else ()


def _untouched_shares(rows: Sequence[MethodRow], tasks: Sequence[str]) -> str:
    """Say how often the untouched base is right, which may differ between rows with bases of their own."""
    shares = []
    for task in tasks:
        found = {format_score(row.figures[key]) for row in rows if (key := f"lm_eval_{task}_untouched") in row.figures}
        shares.append(f"{' or '.join(sorted(found))} in {task}")
    return f"Shares of the untouched base: {', '.join(shares)}."


SECTION = Section(name="costs", title="Inference cost and forgetting", order=53, render=render_costs)
