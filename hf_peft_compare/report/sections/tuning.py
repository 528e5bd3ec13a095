"""Tuning of every row: its learning-rate curve, its trials, and their cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.records.tuning import SearchRange, Tuning
from hf_peft_compare.report.blocks import Block, Cell, Chart, Charts, Column, Material, Paragraph, Section, Table
from hf_peft_compare.report.charts.learning_rates import best_of_longest, learning_rate_chart
from hf_peft_compare.utils.formatting import format_count, format_score, format_seconds, format_significant

RATE = "training.learning_rate"
Tuned = Sequence[tuple[MethodRow, Tuning]]


def render_tuning(material: Material) -> list[Block]:
    """Return a chart and a table of the trials of every tuned row; [] if no row was tuned."""
    rows = [(row, tuning) for row in material.comparison.rows if (tuning := _tuning(row)) is not None]
    if not rows:
        return []
    budget = " or ".join(dict.fromkeys(tuning.budget for _, tuning in rows))  # rows of older runs may differ
    blocks: list[Block] = [
        Paragraph(
            text=f"{_who(material, rows)} tuned with a budget of {budget}{_at_a_time(rows)}, over its own "
            f"ranges. Settings are selected by validation loss; the test split was scored once, afterwards.{_how(rows)}"
        )
    ]
    points = {row.row: found for row, tuning in rows if (found := _points(tuning))}
    if points:
        drawn = [row for row, _ in rows if row.row in points]
        alt = f"Best validation loss over the learning rate of {', '.join(row.label for row, _ in rows)}"
        spec = learning_rate_chart(material, drawn, points, description=alt)
        caption = (
            "Best validation loss of each trial; lines connect trials of as many steps. Ring: the best of the longest."
        )
        blocks.append(Charts(charts=[Chart(name="learning_rates", alt=alt, spec=spec)], caption=caption))
    return [*blocks, _table(material, rows)]


def _who(material: Material, rows: Tuned) -> str:
    tuned = {row.row for row, _ in rows}
    whole = all(row.floor or row.row in tuned for row in material.comparison.rows)
    return "Every trained method was" if whole else f"{', '.join(row.label for row, _ in rows)}: each was"


def _at_a_time(rows: Tuned) -> str:
    """Return how many trials were proposed at a time, if not always one; rows of older runs may differ."""
    numbers = sorted({tuning.parallel_trials for _, tuning in rows})
    return "" if numbers == [1] else f", {' or '.join(map(str, numbers))} proposed at a time"


def _how(rows: Tuned) -> str:
    """Return how short trials lead to a rate; empty if all trials are as long as a run."""
    if all(trial.steps is None for _, tuning in rows for trial in tuning.trials):
        return ""
    return (
        " Trials are shorter than a run, each with its own full schedule; the selected rate is what the longest "
        "suggest for the steps of a run, and need not be one of theirs."
    )


def _tuning(row: MethodRow) -> Tuning | None:
    return next((run.record.tuning for run in row.runs if run.record and run.record.tuning), None)


def _points(tuning: Tuning) -> list[tuple[float, float, int]]:
    found = [(trial.settings.get(RATE), trial.validation_loss, trial.steps or 0) for trial in tuning.trials]
    return [(rate, loss, steps) for rate, loss, steps in found if rate and loss is not None and math.isfinite(loss)]


def _table(material: Material, rows: Tuned) -> Table:
    titles = ["Method", "Trials", "Failed", "Tuning (s)", "Training (s)", "Best validation loss", "Selected", "Range"]
    return Table(
        name="tuning",
        caption="Tuning; its cost is part of the cost of a method.",
        columns=[Column(title=title, numeric=0 < place < 6) for place, title in enumerate(titles)],
        rows=[_cells(row, tuning, material.colors) for row, tuning in rows],
        notes=_notes(rows),
    )


def _cells(row: MethodRow, tuning: Tuning, colors: Mapping[str, str]) -> list[Cell]:
    losses = [trial.validation_loss for trial in tuning.trials if trial.validation_loss is not None]
    texts = [
        format_count(len(tuning.trials)),
        format_count(len(tuning.trials) - len(losses)),
        format_seconds(tuning.seconds),
        format_seconds(row.figures.get("train_seconds")),
        format_score(best_of_longest(points)[1] if (points := _points(tuning)) else min(losses, default=None)),
        ", ".join(f"{_short(key)} {_value(value)}" for key, value in tuning.best_settings.items()),
        _range(tuning),
    ]
    return [Cell(text=row.label, accent=colors[row.row]), *(Cell(text=text) for text in texts)]


def _range(tuning: Tuning) -> str:
    """Return the range of the learning rate as text, and whether the best one lies at its edge."""
    space = tuning.space.get(RATE)
    if not isinstance(space, SearchRange):
        return "–"
    text = f"{_value(space.low)} to {_value(space.high)}"
    if tuning.widened:
        text += f", widened by {_value(tuning.widened.low)} to {_value(tuning.widened.high)}"
    return f"{text}; the best lies at the edge" if tuning.at_edge else text


def _notes(rows: Tuned) -> list[str]:
    notes = ["Tuning (s): loading, training and validation of all trials of the method, once for all seeds."]
    at_edge = [row.label for row, tuning in rows if tuning.at_edge]
    if at_edge:
        notes.append(
            f"At the edge of its range: {', '.join(at_edge)}. A better learning rate may lie beyond it: set a wider "
            f"range in tune.parameters."
        )
    return notes


def _short(key: str) -> str:
    return key.removeprefix("training.")


def _value(value: object) -> str:
    return format_significant(value) if isinstance(value, float) else str(value)


SECTION = Section(name="tuning", title="Tuning", order=45, render=render_tuning)
