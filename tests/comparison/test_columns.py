"""Losses of different units are never in one column, nor ranked against each other."""

from small import SCORES, lines, record

from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.columns import main_columns
from hf_peft_compare.records.record import RunRecord

VALUES = [0.2, 0.4, 0.9]


def scored(row: str, *, unit: str, loss: float) -> RunRecord:
    """Return a finished record whose test loss has a unit."""
    scores = {**SCORES, "test_loss": {**SCORES["test_loss"], "unit": unit}}
    return record(row, VALUES, scores=scores, results={"f": 0.5, "test_loss": loss})


def of_units(units: dict[str, tuple[str, float]], **first: RunRecord) -> Comparison:
    """Compare rows of the units and losses given, after other records."""
    found = first | {row: scored(row, unit=unit, loss=loss) for row, (unit, loss) in units.items()}
    records = {f"{row}-seed0": value for row, value in found.items()}
    return compare(records, {run: lines(VALUES) for run in records}, expected_runs=[(row, 0) for row in found])


def test_each_unit_has_a_column_and_the_most_common_keeps_the_name() -> None:
    units = {"ask": ("nats per token", 0.1), "a": ("nats per example", 0.9), "b": ("nats per example", 0.8)}
    comparison = of_units(units)
    titles = [column.title for column in main_columns(comparison) if column.is_score]
    assert titles == ["F", "Test loss (nats per token)", "Test loss (nats per example)"]
    figures = {row.row: row.figures for row in comparison.rows}
    assert [figures[row].get("test_loss") for row in units] == [None, 0.9, 0.8]
    assert [figures[row].get("test_loss in nats per token") for row in units] == [0.1, None, None]
    assert comparison.best("test_loss", greater_is_better=False) == "b"
    assert all("test_loss in nats per token" in row.intervals for row in comparison.rows if row.row == "ask")


def test_a_row_without_a_loss_names_no_column() -> None:
    comparison = of_units(
        {"ask": ("nats per token", 0.1), "a": ("nats per example", 0.9), "b": ("nats per example", 0.8)},
        majority=record("majority", VALUES, results={"f": 0.5}),
    )
    titles = [column.title for column in main_columns(comparison) if column.is_score]
    assert titles == ["F", "Test loss (nats per token)", "Test loss (nats per example)"]


def test_of_one_unit_the_loss_has_its_plain_title() -> None:
    comparison = of_units({"a": ("nats per token", 0.9), "b": ("nats per token", 0.8)})
    assert [column.title for column in main_columns(comparison) if column.is_score] == ["F", "Test loss"]
