"""How well every row predicts each class: its confusion matrix, and precision, recall and F1 of each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.comparison.example_scores import Predictions
from hf_peft_compare.data.answers import NO_ANSWER
from hf_peft_compare.report.blocks import MANY_ROWS, Block, Cell, Chart, Charts, Column, Material, Section, Table
from hf_peft_compare.report.charts.confusion import confusion_chart
from hf_peft_compare.utils.formatting import UNKNOWN, format_count, format_score

MOST_CLASSES = 12  # in a chart that can be read; the table has all


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A row's confusion counts: {(reference, answer): examples}, over all of its seeds."""

    labels: Sequence[str]
    counts: Counter[tuple[str, str]]

    @cached_property
    def _sums(self) -> tuple[Counter[str], Counter[str]]:
        """The numbers of examples by reference, and by answer."""
        references, answers = Counter[str](), Counter[str]()
        for (reference, answer), number in self.counts.items():
            references[reference] += number
            answers[answer] += number
        return references, answers

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return sum(self.counts[label, label] for label in self.labels) / self.counts.total()

    def labeled(self, label: str) -> int:
        """Count the examples of a class."""
        return self._sums[0][label]

    def answered(self, label: str) -> int:
        """Count the examples that were predicted as a class."""
        return self._sums[1][label]

    def precision(self, label: str) -> float | None:
        """Share of correct predictions among those of the class; None if the class was never predicted."""
        return self.counts[label, label] / self.answered(label) if self.answered(label) else None

    def recall(self, label: str) -> float | None:
        """Share of the class that was predicted correctly; None if no reference is of the class."""
        return self.counts[label, label] / self.labeled(label) if self.labeled(label) else None

    def f1(self, label: str) -> float | None:
        """Harmonic mean of both, 0 if no prediction is correct; None if no reference is of the class."""
        either = self.labeled(label) + self.answered(label)
        return 2 * self.counts[label, label] / either if self.labeled(label) else None


Found = Sequence[tuple[MethodRow, Confusion]]


def render_confusion(material: Material) -> list[Block]:
    """Return every row's matrix and a table of all classes; [] if the task has no labels."""
    found = [
        (row, confusion) for row in material.comparison.finished_rows if (confusion := confusion_of(material, row))
    ]
    if not found:
        return []
    labels = found[0][1].labels
    table = (_table_of_methods if len(found) > MANY_ROWS else _table)(material, found, labels)
    if len(labels) > MOST_CLASSES:
        return [table]
    charts = [_chart(material, place, row, confusion) for place, (row, confusion) in enumerate(_charted(found))]
    caption = "Test examples of each class (row) by predicted class (column); shades are shares of the row."
    caption += "" if len(charts) == len(found) else f" The {len(charts)} best methods; the table has all."
    return [Charts(charts=charts, caption=caption), table]


def _charted(found: Found) -> Found:
    """Return the rows to draw, of many those with the largest share of correct answers."""
    if len(found) <= MANY_ROWS:
        return found
    return sorted(found, key=lambda pair: -pair[1].accuracy)[: MANY_ROWS // 2]


def confusion_of(material: Material, row: MethodRow) -> Confusion | None:
    """Return a row's confusion counts over its seeds, or None if it has no answers or its task has no labels."""
    record = row.finished_runs[0].record
    labels = record.config.get("task", {}).get("labels") if record else None
    counts = count_answers(material.predictions.get(run.run, ()) for run in row.finished_runs)
    return Confusion(labels=list(map(str, labels)), counts=counts) if labels and counts else None


def count_answers(runs: Iterable[Predictions]) -> Counter[tuple[str, str]]:
    """Count (reference, answer) pairs; a generated text counts as the answer parsed from it."""
    return Counter(
        (str(line["reference"]), str(line.get("answer", line.get("prediction"))))
        for run in runs
        for line in run
        if "reference" in line and "prediction" in line  # none in what is published without predictions
    )


def _chart(material: Material, place: int, row: MethodRow, confusion: Confusion) -> Chart:
    answers = _answers(confusion)
    words = "; ".join(
        f"{label} as {', '.join(f'{answer} {confusion.counts[label, answer]}' for answer in answers)}"
        for label in confusion.labels
    )
    return Chart(
        name=f"confusion_{place}",
        alt=f"Confusion matrix of {row.label}: {words}",
        spec=confusion_chart(
            row.label, confusion.counts, labels=confusion.labels, answers=answers, color=material.colors[row.row]
        ),
    )


def _answers(confusion: Confusion) -> list[str]:
    """Return the columns: the classes, and the missing answer if there is one."""
    return [*confusion.labels, *([NO_ANSWER] if confusion.answered(NO_ANSWER) else [])]


def _table(material: Material, found: Found, labels: Sequence[str]) -> Table:
    """Return the table with a line per class and a column per method."""
    return _classes_table(
        found,
        columns=[
            Column(title="Class", numeric=False),
            Column(title="Test examples"),
            *(Column(title=row.label) for row, _ in found),
        ],
        rows=[
            [Cell(text=label), Cell(text=format_count(_size(label, found))), *_class_cells(label, found)]
            for label in labels
        ],
    )


def _table_of_methods(material: Material, found: Found, labels: Sequence[str]) -> Table:
    """Return the table with a line per method and a column per class, for many methods."""
    by_class = [_class_cells(label, found) for label in labels]
    return _classes_table(
        found,
        columns=[
            Column(title="Method", numeric=False),
            *(Column(title=f"{label} ({format_count(_size(label, found))})") for label in labels),
        ],
        rows=[
            [Cell(text=row.label, accent=material.colors[row.row]), *(cells[place] for cells in by_class)]
            for place, (row, _) in enumerate(found)
        ],
    )


def _classes_table(found: Found, *, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Table:
    return Table(
        name="classes",
        caption="F1 of every class; small: precision, recall.",
        columns=columns,
        rows=rows,
        notes=[
            f"{UNKNOWN}: the test split has no such example, or the class was never predicted.",
            *(["Each example counts once per seed."] if any(len(row.finished_runs) > 1 for row, _ in found) else []),
        ],
        main=True,
    )


def _size(label: str, found: Found) -> int:
    return max(confusion.labeled(label) for _, confusion in found)


def _class_cells(label: str, found: Found) -> list[Cell]:
    """Return the cell of every row for a class, the best of them marked."""
    scores = [confusion.f1(label) for _, confusion in found]
    known = [score for score in scores if score is not None]
    best = max(known) if len(set(known)) > 1 else None
    return [
        Cell(
            text=format_score(score),
            details=[f"{format_score(confusion.precision(label))}, {format_score(confusion.recall(label))}"],
            best=score is not None and score == best,
        )
        for score, (_, confusion) in zip(scores, found, strict=True)
    ]


SECTION = Section(name="confusion", title="Classes", order=32, render=render_confusion)
