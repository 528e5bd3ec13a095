"""The blocks of a section: plain text, which each page format escapes and lays out in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hf_peft_compare.comparison import Comparison
from hf_peft_compare.comparison.example_scores import LOSS, Predictions
from hf_peft_compare.records.record import RunRecord

if TYPE_CHECKING:
    from hf_peft_compare.config.schema import StudyConfig


MANY_ROWS = 12  # more do not fit a screen


@dataclass(frozen=True, kw_only=True)
class Material:
    """The input of a section. Every row has one color ("#rrggbb") and one marker in all charts.

    Args:
        study_file: the text of the study's file; empty if there is none.
    """

    study: StudyConfig
    records: Mapping[str, RunRecord]
    predictions: Mapping[str, Predictions]
    comparison: Comparison
    colors: Mapping[str, str]
    markers: Mapping[str, str]
    study_file: str = ""

    @property
    def loss_units(self) -> list[str]:
        """The units of the losses that rows are trained by, which depend on their heads; older records have none."""
        trained = (record for record in self.records.values() if record.validation is not None)
        return list(dict.fromkeys(r.scores[LOSS].unit for r in trained if LOSS in r.scores and r.scores[LOSS].unit))


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Running text; `muted` for remarks."""

    kind: ClassVar[str] = "paragraph"
    text: str
    muted: bool = False


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list of sentences, with a title if there are several lists."""

    kind: ClassVar[str] = "bullets"
    title: str = ""
    items: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A table's column; numbers are right-aligned."""

    title: str
    numeric: bool = True


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A table's cell: its text, smaller lines below it, whether it is the best, and the accent color of its row.

    Args:
        greyed: lines below the details that stand back, such as a reference that is not comparable.
    """

    text: str
    details: Sequence[str] = ()
    greyed: Sequence[str] = ()
    best: bool = False
    accent: str | None = None

    @property
    def lines(self) -> list[str]:
        """All smaller lines below the text."""
        return [*self.details, *self.greyed]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; `main` tables are also written to tables.tex. `name` is its label there.

    Args:
        rest: rows of less interest, which the page alone shows, folded under `rest_title`.
        leads: the page shows it open, however long it is; others of more than MANY_ROWS rows are folded.
    """

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    main: bool = False
    rest: Sequence[Sequence[Cell]] = ()
    rest_title: str = ""
    leads: bool = False

    @property
    def folded(self) -> bool:
        """Whether the page shows the caption alone until it is clicked."""
        return len(self.rows) > MANY_ROWS and not self.leads


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A static chart: its file name, its alternative text, and its Vega-Lite specification, as in `Live`."""

    name: str
    alt: str
    spec: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Menu:
    """A menu beside a live chart; each option sets {dotted path in the specification: value}."""

    title: str
    options: Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Live:
    """A Vega-Lite specification, and menus whose first options are selected initially.

    Text from data is only in its values and titles, never in an expression. All numbers are finite.
    """

    spec: Mapping[str, Any]
    menus: Sequence[Menu] = ()


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Charts side by side under one caption; `live` replaces them in the page if scripts run."""

    kind: ClassVar[str] = "charts"
    charts: Sequence[Chart]
    caption: str
    live: Live | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One row's answer to an example."""

    label: str
    text: str
    score: str
    accent: str


@dataclass(frozen=True, kw_only=True)
class Example:
    """One test example with every row's answer.

    Args:
        picture: a data: address of the picture that the question is about, shown in the page alone.
    """

    kind: ClassVar[str] = "example"
    title: str
    source: str
    reference: str
    answers: Sequence[Answer]
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class Browser:
    """All examples, to search and filter in the page if scripts run; they replace the single examples.

    Args:
        data: JSON of the score ("title", "greater_is_better"), the "rows" (label, accent), the "examples" (ids,
            sources, references, the first ones' pictures, and their number in_all) and the "runs" (row number, seed,
            answers, scores).
    """

    kind: ClassVar[str] = "browser"
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CardBlock:
    """A method's card: (term, text) pairs, a formula in LaTeX, and a link if the card has one."""

    kind: ClassVar[str] = "card"
    title: str
    rows: str
    entries: Sequence[tuple[str, str]]
    formula: str
    url: str
    accent: str


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A long text in a collapsed element, e.g. a traceback."""

    kind: ClassVar[str] = "folded"
    title: str
    text: str


Block = Paragraph | Bullets | Table | Charts | Example | Browser | CardBlock | Folded


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the report, in one file.

    Args:
        order: sections are sorted by it.
        render: returns the section's blocks; a section without blocks is left out.
    """

    name: str
    title: str
    order: int
    render: Callable[[Material], Sequence[Block]]


def text_table(
    *, name: str, caption: str, header: Sequence[str], rows: Sequence[Sequence[object]], notes: Sequence[str] = ()
) -> Table:
    """Build a table of plain text cells; items may also be `Cell` objects."""
    return Table(
        name=name,
        caption=caption,
        columns=[Column(title=title, numeric=False) for title in header],
        rows=[[cell if isinstance(cell, Cell) else Cell(text=str(cell)) for cell in row] for row in rows],
        notes=notes,
    )
