"""The classification quickstart, every row of it, at a size of seconds: from the study file to its report."""

import csv

import pytest

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.records.record import read_records

STUDY = "quickstart-classification"
SMALL = [
    "seeds=[0]",
    "num_train_samples=32",
    "num_validation_samples=12",
    "num_test_samples=12",
    "training.num_train_epochs=1",
]


@pytest.fixture
def finished(command, tmp_path):
    """The records and the report's folder of a small run."""
    status, _, errors = command("run", STUDY, *(part for key in SMALL for part in ("--set", key)))
    assert status == 0, errors
    return read_records(tmp_path / "runs" / STUDY), tmp_path / "runs" / STUDY / "report"


def test_every_row_runs_to_its_report(finished):
    records, report = finished
    rows = list(load_study(STUDY).config.methods)
    assert sorted(record.row for record in records.values()) == sorted(rows)
    assert all(record.finished and 0 <= record.results["accuracy"] <= 1 for record in records.values())
    page = (report / "index.html").read_text()
    assert 'id="table-classes"' in page and page.count("Confusion matrix of") == len(rows)
    assert "nats per example" in page
    trained = {record.row for record in records.values() if record.initial_trainables_sha256}
    assert trained == set(rows) - {"majority", "zero_shot"}
    with (report / "results.csv").open() as file:
        assert [line["row"] for line in csv.DictReader(file)] == rows
