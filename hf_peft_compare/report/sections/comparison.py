"""The main table: quality and cost of every row, beside the reference values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_peft_compare.comparison import Comparison, MethodRow
from hf_peft_compare.comparison.columns import (
    CUDA_PEAK,
    ENERGY,
    PARAMETERS,
    FigureColumn,
    estimated_share,
    main_columns,
    main_scores,
)
from hf_peft_compare.report.blocks import Block, Cell, Column, Material, Section, Table
from hf_peft_compare.report.escaping import cap
from hf_peft_compare.report.references import describe_not_comparable, reference_value, title_of, write_reference
from hf_peft_compare.utils.formatting import (
    UNKNOWN,
    format_count,
    format_difference,
    format_interval,
    format_percent,
    format_score,
)

REFERENCE_KEYS = {CUDA_PEAK: "peak_allocated_bytes"}  # ours is named after its phase


def render_comparison(material: Material) -> list[Block]:
    """Return the main table."""
    comparison = material.comparison
    return [
        figure_table(
            material,
            name="comparison",
            caption=f"{title_of(material)}: quality and cost of every method.",
            columns=list(_columns(comparison)),
            notes=list(_notes(material)),
            leads=True,
        )
    ]


def _columns(comparison: Comparison) -> Iterator[FigureColumn]:
    """Yield the main columns, with the number of all parameters in place of the trained ones' share of them."""
    for column in main_columns(comparison):
        if column.key != "trainable_ratio":
            yield column
        else:
            yield FigureColumn(key="total_params", title="All parameters", write=format_count)


def figure_table(
    material: Material,
    *,
    name: str,
    caption: str,
    columns: Sequence[FigureColumn],
    notes: Sequence[str],
    leads: bool = False,
) -> Table:
    """Build a main table with a line per row of the study, and a remark if a row is incomplete."""
    comparison = material.comparison
    best = {column.key: _best(comparison, column) for column in columns}
    rows = [
        [
            Cell(
                text=row.label,
                details=_row_details(row),
                greyed=_not_comparable(material, row),
                accent=material.colors[row.row],
            ),
            *(_cell(material, row, column, best[column.key]) for column in columns),
        ]
        for row in comparison.rows
    ]
    header = [Column(title="Method", numeric=False), *(Column(title=_header(comparison, column)) for column in columns)]
    return Table(
        name=name,
        caption=caption,
        columns=header,
        rows=rows,
        notes=notes,
        main=True,
        leads=leads,
    )


def _row_details(row: MethodRow) -> list[str]:
    """Return the row's name if it differs from the label, and what is missing or has failed."""
    return [detail for detail in ("" if row.row == row.label else row.row, cap(row.remark, 60)) if detail]


def _header(comparison: Comparison, column: FigureColumn) -> str:
    arrow = {True: "\u00a0↑", False: "\u00a0↓", None: ""}[column.greater_is_better] if column.is_score else ""
    return column.title + arrow


def _best(comparison: Comparison, column: FigureColumn) -> str | None:
    """Return the best row of a column, or None if all values are the same; costs compare trained rows only."""
    rows = [row for row in comparison.rows if (column.is_score or not row.floor) and column.key in row.figures]
    if column.greater_is_better is None or len({row.figures[column.key] for row in rows}) < 2:
        return None
    return comparison.best(column.key, greater_is_better=column.greater_is_better, rows=rows)


def _cell(material: Material, row: MethodRow, column: FigureColumn, best: str | None) -> Cell:
    """Return the cell of a figure, with its interval or spread, and its reference value."""
    value = row.figures.get(column.key)
    if row.floor and not column.is_score and not value:
        return Cell(text=UNKNOWN)
    details, reference = list(_details(row, column)), _reference(material, row, column)
    if describe_not_comparable(material, row):
        return Cell(text=column.write(value), details=details, greyed=reference, best=best == row.row)
    return Cell(text=column.write(value), details=[*details, *reference], best=best == row.row)


def _not_comparable(material: Material, row: MethodRow) -> list[str]:
    return [sentence] if (sentence := describe_not_comparable(material, row)) else []


def _reference(material: Material, row: MethodRow, column: FigureColumn) -> list[str]:
    value = reference_value(material, row.row, REFERENCE_KEYS.get(column.key, column.key))
    return [] if value is None else [write_reference(material, column.write(value))]


def _details(row: MethodRow, column: FigureColumn) -> Iterator[str]:
    interval = row.intervals.get(column.key)
    if interval is not None and interval.known:
        yield format_interval(interval, signed=column.write is format_difference)
    if column.is_score and column.key in row.spreads:
        yield f"± {format_score(row.spreads[column.key])}"
    if column == PARAMETERS and row.figures.get("trainable_ratio"):
        yield f"{format_percent(row.figures['trainable_ratio'])} of all"
    if column.key == ENERGY.key and (share := estimated_share(row)):
        yield f"{format_percent(share)} estimated"


def _notes(material: Material) -> Iterator[str]:
    """Yield how to read the table, what its intervals cover, and how the reference differs."""
    comparison, references = material.comparison, material.study.references
    yield "↑: higher is better; ↓: lower is better. The best value of a column is marked. 1 MB = 10⁶ bytes."
    scopes = {
        row.intervals[score].scope for row in comparison.rows for score in row.intervals if score in comparison.scores
    }
    longest = [scope for scope in scopes if not any(other != scope and other.startswith(scope) for other in scopes)]
    if longest:  # where a row without seeds is among others, its scope is the beginning of theirs
        yield f"Small figures below a score: 95 % interval {'; '.join(sorted(longest))}."
    if comparison.several_seeds:
        yield "± is the standard deviation over seeds."
    notes = {comparison.scores[name].note for name in main_scores(comparison)}
    yield from sorted(note for note in notes if note)
    keys = {column.key for column in main_columns(comparison)}
    if CUDA_PEAK in keys:
        yield "Peak GPU memory: the most bytes allocated at once in training, including the model."
    if ENERGY.key in keys:
        yield "Energy: of the whole machine in the train time. Estimated, without a meter, it says little more."
    if references is not None:
        if any(describe_not_comparable(material, row) for row in comparison.rows):
            yield "Grey: a reference that is not comparable, being of another model or of other settings."
        yield f"ref.: reference values ({references.source}). Differences in their protocol:"
        yield from references.differences
        others = [row for row in references.rows if comparison.row(row) is None]
        if others:
            yield f"Methods in the reference but not in this study: {', '.join(others)}."


SECTION = Section(name="comparison", title="Comparison", order=20, render=render_comparison)
