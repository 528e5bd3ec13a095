"""Losses of different units are never in one column; energy says what of it is estimated. Neither is ranked."""

import pytest
from small import SCORES, lines, record

from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.columns import cost_columns, main_columns
from hf_peft_compare.comparison.recommendation import Budget, choose, describe_choice
from hf_peft_compare.comparison.verdict import describe_verdict
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


def with_energy(*joules: tuple[float, float] | None) -> Comparison:
    """Compare rows of so many joules, and so many of them estimated; None: without energy."""
    keys = ("train_energy_joules", "estimated_energy_joules")
    found = [record(f"r{i}", VALUES, throughput=dict(zip(keys, of or (), strict=False))) for i, of in enumerate(joules)]
    records = {record.run: record for record in found}
    return compare(records, {run: lines(VALUES) for run in records}, expected_runs=[(r.row, 0) for r in found])


@pytest.mark.parametrize(
    ("joules", "titles"),
    [
        ([(7200, 7200), (3600, 3600)], ["Energy (Wh, estimated)"]),
        ([(7200, 7200), (3600, 0)], ["Energy (Wh, partly estimated)"]),
        ([(7200, 720), None], ["Energy (Wh, partly estimated)"]),
        ([(7200, 0), (3600, 0)], ["Energy (Wh)"]),
        ([None, None], []),
    ],
)
def test_energy_is_a_column_where_some_row_has_it_and_says_what_is_estimated(
    joules: list[tuple[float, float] | None], titles: list[str]
) -> None:
    comparison = with_energy(*joules)
    columns = [column for column in main_columns(comparison) if column.key == "train_energy_joules"]
    assert [column.title for column in columns] == titles
    assert all(column.greater_is_better is None for column in columns)


@pytest.mark.parametrize("share", [0, 1])
def test_energy_is_nothing_that_quality_is_weighed_against(share: int) -> None:
    """Neither estimated nor measured: rows of equal quality are told by the same sentences with it and without."""
    lavish, thrifty = (9e9, share * 9e9), (1.0, share * 1.0)
    said = []
    for comparison in (with_energy(lavish, thrifty), with_energy(None, None)):
        choice = describe_choice(choose(comparison, Budget(within=0.5)))
        costs = [column.key for column in cost_columns(comparison)]
        said.append([costs, describe_verdict(comparison), list(choice)])
    assert said[0] == said[1]
