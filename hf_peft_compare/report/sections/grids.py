"""Grids: the ranking score over the settings that a row varies, and what each change did, beside the reference's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from hf_peft_compare.comparison import MethodRow, PairedDifference
from hf_peft_compare.comparison.columns import ranking_column
from hf_peft_compare.comparison.grid_effects import Change, grid_effects
from hf_peft_compare.config import grids
from hf_peft_compare.report.blocks import Block, Cell, Chart, Charts, Column, Material, Section, Table
from hf_peft_compare.report.charts.heat_maps import DIFFERENCE, heat_map_chart
from hf_peft_compare.report.references import changed_subjects, reference_value
from hf_peft_compare.utils.formatting import format_difference, format_interval, format_p_value, format_score


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One row's grid and the scores of its cells, each a row of the study.

    Args:
        values: {key: its values}.
        cells: {row: {key: value}}; the last key's values vary fastest.
        ours, theirs: {row: score}, for the rows with a score; theirs only if it is of the same settings.
        their_model: the reference's model, if it is another one than ours, so that scores are not compared.
        best_epochs: {row: the epoch whose state was kept}, if it is the same for all seeds.
    """

    name: str
    title: str
    values: Mapping[str, Sequence[Any]]
    cells: Mapping[str, Mapping[str, Any]]
    ours: Mapping[str, float]
    theirs: Mapping[str, float]
    their_model: str | None
    best_epochs: Mapping[str, float]

    @property
    def differences(self) -> dict[str, float]:
        """Our score minus the reference's, if both are known and of the same model."""
        if self.their_model:
            return {}
        return {row: self.ours[row] - self.theirs[row] for row in self.ours if row in self.theirs}


def render_grids(material: Material) -> list[Block]:
    """Return a table of every grid with a finished run, and charts of those with two keys; [] if there is none."""
    if material.comparison.ranking_score is None:
        return []
    found = [_grid(material, name, values) for name, values in grids.grids_of(material.study.methods).items()]
    return [block for grid in found if grid.ours for block in _blocks(material, grid)]


def _grid(material: Material, name: str, values: Mapping[str, Sequence[object]]) -> Grid:
    comparison = material.comparison
    score, cells = ranking_column(comparison).key, grids.cells(name, values)
    rows = [row for row in comparison.finished_rows if row.row in cells]
    ours = {row.row: row.figures.get(score, math.nan) for row in rows}
    changed = {row.row for row in rows if changed_subjects(row.record)}
    references = material.study.references
    theirs = {row: reference_value(material, row, score) for row in cells if row not in changed}
    return Grid(
        name=name,
        title=next((row.record.card.title for row in rows if row.record), name),
        values=values,
        cells=cells,
        ours={row: value for row, value in ours.items() if math.isfinite(value)},
        theirs={row: value for row, value in theirs.items() if value is not None and math.isfinite(value)},
        their_model=references.model if references else None,
        best_epochs={row.row: epochs[0] for row in rows if len(set(epochs := _best_epochs(row))) == 1},
    )


def _best_epochs(row: MethodRow) -> list[float]:
    records = [run.record for run in row.finished_runs]
    return [record.validation.best_epoch for record in records if record and record.validation]


def _blocks(material: Material, grid: Grid) -> list[Block]:
    best = ranking_column(material.comparison).greater_is_better
    marked = (max if best else min)(grid.ours, key=lambda row: grid.ours[row])
    table = (_matrix if len(grid.values) == 2 else _list)(grid, marked)
    title = f"{ranking_column(material.comparison).title} of {grid.title} over {' × '.join(grid.values)}"
    notes = ["Marked: the best score of the grid. Other sections have the intervals and tests."]
    if grid.best_epochs:
        notes.append("In parentheses: the epoch with the lowest validation loss, whose state was scored.")
    if (number := len(grid.ours)) > 1:
        notes.append(f"The best score was chosen as the best of {number}, so it is likely too good.")
    if grid.theirs:
        other = f", of {grid.their_model}: its trends can be compared, its values cannot."
        own = ", and our score minus the reference value."
        notes.append(f"Small: the reference value{other if grid.their_model else own}")
    columns, rows = table
    name, caption = f"grid-{grid.name}", f"{title}."
    shown = Table(name=name, caption=caption, columns=columns, rows=rows, notes=notes, main=True, leads=True)
    return [shown, *([_charts(grid, title)] if len(grid.values) == 2 else []), *_effects(material, grid)]


def _effects(material: Material, grid: Grid) -> list[Block]:
    """Return a table of what each change of a key did, with the reference's; [] if no two cells can be compared."""
    column, rows = ranking_column(material.comparison), material.comparison.finished_rows
    effects = grid_effects(rows, grid.values, grid.cells, greater_is_better=bool(column.greater_is_better))
    found = [(change, pair) for change, pair in effects if pair.mean is not None]  # None: no scores per example
    if not found:
        return []
    titles = ["Pairs", "Difference", "Interval", "Adjusted p", *(["Reference"] if grid.theirs else [])]
    lines = [
        [
            *_effect_cells(change, pair),
            *([Cell(text=format_difference(_their_effect(grid, change)))] if grid.theirs else []),
        ]
        for change, pair in found
    ]
    notes = [
        "The mean over all pairs of cells that differ in this key alone. Intervals and p hold for all changes of the "
        "grid at once; marked differences are significant (adjusted p < .05).",
        *sorted({f"{pair.interval.scope[:1].upper()}{pair.interval.scope[1:]}." for _, pair in found}),
    ]
    columns = [Column(title="Change", numeric=False), *(Column(title=title) for title in titles)]
    caption = f"What each change did to {column.title} of {grid.title}, the other settings unchanged."
    return [Table(name=f"effects-{grid.name}", caption=caption, columns=columns, rows=lines, notes=notes, main=True)]


def _effect_cells(change: Change, pair: PairedDifference) -> list[Cell]:
    reasons = [pair.interval.reason] if pair.interval.reason else []
    return [
        Cell(text=f"{change.key}: {change.before} → {change.after}"),
        Cell(text=str(len(change.pairs))),
        Cell(text=format_difference(pair.mean), best=pair.significant, details=reasons),
        Cell(text=format_interval(pair.interval, signed=True)),
        Cell(text=format_p_value(pair.adjusted_p_value)),
    ]


def _their_effect(grid: Grid, change: Change) -> float | None:
    """Return the reference's mean difference over the same pairs; None if it lacks any of them."""
    if not all(row in grid.theirs for pair in change.pairs for row in pair):
        return None
    return fmean(grid.theirs[after] - grid.theirs[before] for before, after in change.pairs)


def _matrix(grid: Grid, best: str) -> tuple[list[Column], list[list[Cell]]]:
    """Return the columns and rows of two keys: the first one's values as rows, the second one's as columns."""
    (down, across), width = grid.values, len(list(grid.values.values())[1])
    rows, names = list(grid.cells), [str(value) for value in grid.values[down]]
    cells = [[_cell(grid, row, best) for row in rows[i : i + width]] for i in range(0, len(rows), width)]
    columns = [Column(title=f"{down} \\ {across}"), *(Column(title=str(value)) for value in grid.values[across])]
    return columns, [[Cell(text=name), *line] for name, line in zip(names, cells, strict=True)]


def _list(grid: Grid, best: str) -> tuple[list[Column], list[list[Cell]]]:
    """Return the columns and rows of one key, or of more than two: a row for each cell."""
    columns = [*(Column(title=key) for key in grid.values), Column(title="Score")]
    lines = [
        [*(Cell(text=str(value)) for value in values.values()), _cell(grid, row, best)]
        for row, values in grid.cells.items()
    ]
    return columns, lines


def _cell(grid: Grid, row: str, best: str) -> Cell:
    details = [f"ref. {format_score(grid.theirs[row])}"] if row in grid.theirs else []
    details += [format_difference(grid.differences[row])] if row in grid.differences else []
    epoch = grid.best_epochs.get(row)
    text = format_score(grid.ours.get(row)) + (f" ({epoch:.3g})" if epoch is not None else "")
    return Cell(text=text, details=details, best=row == best)


def _charts(grid: Grid, title: str) -> Charts:
    found = {"ours": grid.ours, "reference": grid.theirs, DIFFERENCE: grid.differences}
    panels = {name: numbers for name, numbers in found.items() if numbers}
    alt = f"Heat map: {title}; {', '.join(panels)}"
    spec = heat_map_chart(grid.values, grid.cells, panels, description=alt)
    chart = Chart(name=f"grid_{grid.name}".replace(".", "_"), alt=alt, spec=spec)
    caption = f"{title}; yellow is higher; cells without a score are blank."
    caption += " In the difference, violet is above the reference and orange below." if grid.differences else ""
    return Charts(charts=[chart], caption=caption)


SECTION = Section(name="grids", title="Grids", order=5, render=render_grids)
