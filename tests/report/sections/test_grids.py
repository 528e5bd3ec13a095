"""The grids section: ours, the reference's and their difference, cell by cell, in every format."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from pages import read_table
from synthetic import References, Study, make_predictions, make_record

from hf_peft_compare.config.grids import cells
from hf_peft_compare.report import write_report
from hf_peft_compare.report.blocks import Charts, Table
from hf_peft_compare.report.sections.grids import render_grids
from hf_peft_compare.report.writing import gather

SCORE = "rougeL_fmeasure"
TWO = {"num_train_samples": [50, 150], "lora_dropout": [0.0, 0.1, 0.2]}
OURS = {"lora-50-0.0": 0.5, "lora-50-0.1": 0.25, "lora-150-0.0": 0.75, "lora-150-0.2": 0.125}
THEIRS = {"lora-50-0.0": 0.4, "lora-50-0.1": 0.45, "lora-150-0.1": 0.9}


def study_of(values: dict[str, list[Any]], theirs: dict[str, float] | None = None) -> Study:
    """Return a study of the full model and one grid of LoRA."""
    rows = {row: {"method": "lora", "grid": cell} for row, cell in cells("lora", values).items()}
    figures = {row: {SCORE: value} for row, value in (theirs or {}).items()}
    references = References(source="project report, 2024", rows=figures, differences=["."]) if theirs else None
    return Study(methods={"full": {}, **rows}, references=references)


def runs_of(ours: dict[str, float]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return records and predictions of a full model and some cells."""
    records = {"full-seed0": make_record("full")}
    for row, value in ours.items():
        made = make_record(row, method="lora", card={"title": "LoRA"})
        records[f"{row}-seed0"] = make_record(
            row, method="lora", card={"title": "LoRA"}, results={**made.results, SCORE: value}
        )
    return records, {run: make_predictions(run.removesuffix("-seed0")) for run in records}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a grid of two keys, of which two cells did not run, beside a reference's of three cells."""
    folder = tmp_path_factory.mktemp("grids")
    return write_report(study_of(TWO, THEIRS), *runs_of(OURS), folder).parent


def blocks_of(study: Study, ours: dict[str, float]) -> list[Any]:
    return render_grids(gather(study, *runs_of(ours)))


def test_a_grid_of_two_keys_is_a_matrix_of_our_scores(page: Path) -> None:
    table = read_table((page / "index.html").read_text(encoding="utf-8"), "grid-lora")
    assert table == {"50": ["0.500", "0.250", "–"], "150": ["0.750", "–", "0.125"]}


def test_every_cell_shows_the_reference_and_the_difference_where_there_are_such() -> None:
    table = blocks_of(study_of(TWO, THEIRS), OURS)[0]
    assert [column.title for column in table.columns] == ["num_train_samples \\ lora_dropout", "0.0", "0.1", "0.2"]
    assert [[cell.details for cell in row[1:]] for row in table.rows] == [
        [["ref. 0.400", "+0.100"], ["ref. 0.450", "−0.200"], []],
        [[], ["ref. 0.900"], []],
    ]
    assert [[cell.best for cell in row[1:]] for row in table.rows] == [[False] * 3, [True, False, False]]


def test_it_stands_in_every_format(page: Path) -> None:
    for name in ("index.html", "README.md", "tables.tex"):
        text = (page / name).read_text(encoding="utf-8")
        assert "ref. 0.450" in text and "+0.100" in text
    assert {"grid_lora.svg", "grid_lora.pdf"} <= {path.name for path in (page / "figures").iterdir()}
    assert "grid_lora" in (page / "report.tex").read_text(encoding="utf-8")
    with (page / "results.csv").open(encoding="utf-8") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert set(lines) == {"full", *cells("lora", TWO)}
    assert float(lines["lora-150-0.0"][SCORE]) == 0.75


def test_the_heat_map_writes_every_number_into_its_cell(page: Path) -> None:
    drawing = (page / "figures/grid_lora.svg").read_text(encoding="utf-8")
    for text in ("ours", "reference", "difference", "0.750", "0.900", "+0.100", "−0.200", "num_train_samples"):
        assert f">{text}<" in drawing


def test_a_grid_of_one_key_is_a_list_without_a_drawing() -> None:
    ours = {"lora-4": 0.5, "lora-8": 0.25}
    table, _ = blocks_of(study_of({"r": [4, 8]}, {"lora-8": 0.75}), ours)
    assert [[cell.text for cell in row] for row in table.rows] == [["4", "0.500"], ["8", "0.250"]]
    assert table.rows[1][1].details == ["ref. 0.750", "−0.500"]


def test_a_grid_of_three_keys_is_a_list_too() -> None:
    values = {"r": [4], "lora_dropout": [0.0, 0.1], "num_train_samples": [50]}
    (table,) = blocks_of(study_of(values), {"lora-4-0.1-50": 0.5})
    assert [[cell.text for cell in row] for row in table.rows] == [["4", "0.0", "50", "–"], ["4", "0.1", "50", "0.500"]]


def test_what_each_change_did_stands_beside_the_reference(page: Path) -> None:
    theirs = {**THEIRS, "lora-150-0.0": 0.95}
    effects = blocks_of(study_of(TWO, theirs), OURS)[-1]
    changes = {row[0].text: (row[1].text, row[-1].text) for row in effects.rows}
    assert changes == {
        "num_train_samples: 50 → 150": ("1", "+0.550"),  # dropout 0 alone has both
        "lora_dropout: 0.0 → 0.1": ("1", "+0.050"),
        "lora_dropout: 0.0 → 0.2": ("1", "–"),  # the reference lacks one of the two
    }
    assert "What each change did to" in (page / "README.md").read_text(encoding="utf-8")


def test_without_scores_per_example_no_effect_is_shown() -> None:
    study, (records, _) = study_of(TWO), runs_of(OURS)
    assert [type(block) for block in render_grids(gather(study, records, {}))] == [Table, Charts]


def test_without_a_reference_there_is_ours_alone() -> None:
    table, charts, effects = blocks_of(study_of(TWO), OURS)
    assert "Reference" not in [column.title for column in effects.columns]
    assert all(not cell.details for row in table.rows for cell in row)
    assert isinstance(charts, Charts) and charts.charts[0].alt.endswith("; ours")


def test_studies_without_grids_or_scores_have_no_such_section() -> None:
    assert blocks_of(Study(methods={"full": {}}), {}) == []
    assert blocks_of(study_of(TWO), {}) == []
