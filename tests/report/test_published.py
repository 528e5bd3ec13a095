"""The committed reports in reports/ can be rebuilt from the records beside them."""

from pathlib import Path

import pytest

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.records.record import read_records
from hf_peft_compare.records.run_folder import STUDY_FILE, read_predictions
from hf_peft_compare.report import write_report

PUBLISHED = sorted(path.parent for path in (Path(__file__).parents[2] / "reports").glob("*/index.html"))


def test_the_quickstarts_are_published():
    assert {"quickstart", "quickstart-classification"} <= {folder.name for folder in PUBLISHED}


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_a_published_report_follows_from_its_records(folder, tmp_path):
    records = read_records(folder / "records")
    predictions = {run: list(read_predictions(folder / "records" / run)) for run in records}
    file = folder / "records" / STUDY_FILE
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    write_report(load_study(folder.name).config, records, predictions, tmp_path, study_file=text)
    for name in ("README.md", "tables.tex", "results.csv"):  # figures depend on the release of vl-convert
        assert (tmp_path / name).read_text() == (folder / name).read_text(), name
    assert all(record.finished for record in records.values())
