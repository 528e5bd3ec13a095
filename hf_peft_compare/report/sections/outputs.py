"""The text that every row generated for every test example, and its parsed answer, if the test split is small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.report.blocks import Answer, Block, Cell, Column, Example, Material, Section, Table
from hf_peft_compare.report.escaping import cap
from hf_peft_compare.report.sources import source_text

MOST_EXAMPLES = 20  # shown side by side; the section of examples has a search over more

Lines = Mapping[str, Mapping[str, Any]]  # a run's predictions by example


def render_outputs(material: Material) -> list[Block]:
    """Return a table of the parsed answers, and the texts side by side; [] if no answer was parsed from a text."""
    rows = [row for row in material.comparison.finished_rows if material.predictions.get(row.finished_runs[0].run)]
    lines = {
        row.row: {str(line["id"]): line for line in material.predictions[row.finished_runs[0].run]} for row in rows
    }
    examples = {key: line for by_id in lines.values() for key, line in by_id.items()}
    reads = any("answer" in line for by_id in lines.values() for line in by_id.values())
    if not reads or len(examples) > MOST_EXAMPLES:
        return []
    return [
        _table(rows, lines, examples),
        *(_outputs(material, rows, lines, key, example) for key, example in examples.items()),
    ]


def _table(rows: Sequence[MethodRow], lines: Mapping[str, Lines], examples: Lines) -> Table:
    def cell(row: MethodRow, key: str) -> Cell:
        answer = _answer(lines[row.row].get(key, {}))
        return Cell(text=answer, best=answer == examples[key].get("reference"))

    titles = ["Example", "Reference", *(row.label for row in rows)]
    return Table(
        name="answers",
        caption="The parsed answers of every method; correct answers are marked.",
        columns=[Column(title=title, numeric=False) for title in titles],
        rows=[
            [Cell(text=_source(line)), Cell(text=str(line.get("reference"))), *(cell(row, key) for row in rows)]
            for key, line in examples.items()
        ],
        notes=["Answers of the first seed."] if any(len(row.finished_runs) > 1 for row in rows) else [],
        main=True,
    )


def _outputs(
    material: Material, rows: Sequence[MethodRow], lines: Mapping[str, Lines], key: str, example: Mapping[str, object]
) -> Example:
    answers = [
        Answer(
            label=row.label,
            text=str(line.get("prediction", "")),
            score=f"parsed as: {line['answer']}" if "answer" in line else "predicted class",
            accent=material.colors[row.row],
        )
        for row in rows
        if (line := lines[row.row].get(key)) is not None
    ]
    return Example(
        title=cap(_source(example), 160),
        source=_source(example),
        reference=str(example.get("reference") or ""),
        answers=answers,
    )


def _answer(line: Mapping[str, object]) -> str:
    """Return the answer parsed from a line's text, or the text itself if a class was predicted."""
    return str(line.get("answer", line.get("prediction", "")))


def _source(line: Mapping[str, object]) -> str:
    return source_text(None, line)


SECTION = Section(name="outputs", title="Outputs side by side", order=55, render=render_outputs)
