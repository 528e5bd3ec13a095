"""The training of every row: loss curves, best validation loss, steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_peft_compare.comparison import MethodRow, RunRow
from hf_peft_compare.comparison.example_scores import is_loss
from hf_peft_compare.report.blocks import Block, Cell, Chart, Charts, Column, Material, Section, Table
from hf_peft_compare.report.charts.drawing import first_view
from hf_peft_compare.report.charts.losses import loss_chart
from hf_peft_compare.utils.formatting import format_count, format_score, format_significant


def render_learning(material: Material) -> list[Block]:
    """Return the loss curves and a table of every training; [] if nothing was trained."""
    rows = [row for row in material.comparison.rows if any(run.record and run.record.history for run in row.runs)]
    if not rows:
        return []
    unit = loss_unit(rows)
    alt = f"Training and validation loss over epochs of {', '.join(row.label for row in rows)}"
    live = loss_chart(material, rows, unit=unit, description=alt)
    chart = Chart(name="loss_curves", alt=alt, spec=first_view(live))
    caption = f"Loss in {unit}. Thin lines: training; lines with markers: validation."
    return [
        Charts(charts=[chart], caption=caption, live=live),
        _facts(material, rows, unit=unit),
    ]


def loss_unit(rows: Sequence[MethodRow]) -> str:
    """Return the unit of the losses, of each head its own; older records do not have it."""
    scores = (run.record.scores.items() for row in rows for run in row.runs if run.record)
    units = dict.fromkeys(about.unit for found in scores for name, about in found if is_loss(name) and about.unit)
    return " or ".join(units) or "nats per token"


def _facts(material: Material, rows: Sequence[MethodRow], *, unit: str) -> Table:
    titles = [
        "Run",
        "Steps",
        "Epochs",
        "First loss",
        "Last loss",
        "Best validation loss",
        "at step",
        "at epoch",
        "Tokens per second",
    ]
    return Table(
        name="learning",
        caption=f"Training; losses in {unit}. The state with the best validation loss is kept.",
        columns=[Column(title=title, numeric=place > 0) for place, title in enumerate(titles)],
        rows=[
            _fact_cells(row, run, material.colors)
            for row in rows
            for run in row.runs
            if run.record and run.record.history
        ],
    )


def _fact_cells(row: MethodRow, run: RunRow, colors: Mapping[str, str]) -> list[Cell]:
    history = run.record.history if run.record else []
    losses = [entry.loss for entry in history if entry.loss is not None]
    last_step = max((entry.step for entry in history if entry.step is not None), default=None)
    last_epoch = max((entry.epoch for entry in history if entry.epoch is not None), default=None)
    label = row.label if len(row.runs) == 1 else f"{row.label}, seed {run.seed}"
    return [
        Cell(text=label, accent=colors[row.row]),
        *_texts(format_count(last_step), _short(last_epoch)),
        *_texts(*(format_score(loss) for loss in (losses[0], losses[-1])) if losses else ("–", "–")),
        *_texts(format_score(run.figures.get("best_validation_loss")), format_count(run.figures.get("best_step"))),
        *_texts(_short(run.figures.get("best_epoch")), format_count(run.figures.get("train_tokens_per_second"))),
    ]


def _texts(*texts: str) -> list[Cell]:
    return [Cell(text=text) for text in texts]


def _short(value: float | None) -> str:
    return "–" if value is None else format_significant(value)


SECTION = Section(name="learning", title="Learning", order=40, render=render_learning)
