"""The first example stands in the report as the model reads it, once for all rows that read it alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthetic import Study, make_study_runs

from hf_peft_compare.report import write_report

EXAMPLE = {"read": "<|im_start|>user\nWho won?", "learned": "Anna<|im_end|>"}


def test_rows_that_read_the_same_share_an_example(tmp_path: Path) -> None:
    records, predictions = make_study_runs()
    records = {
        run: replace(record, provenance=replace(record.provenance, example_input=EXAMPLE))
        if not run.startswith("lead")
        else record
        for run, record in records.items()
    }
    folder = write_report(Study(), records, predictions, tmp_path).parent  # type: ignore[arg-type]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("read:\n&lt;|im_start|&gt;user\nWho won?\n\nlearned:\nAnna&lt;|im_end|&gt;") == 1
    assert "example_input" not in (folder / "README.md").read_text(encoding="utf-8")


def test_records_without_an_example_have_no_such_section(full: Path) -> None:
    assert 'id="model_input"' not in (full / "index.html").read_text(encoding="utf-8")


def test_the_examples_texts_are_no_fact_that_a_model_card_would_publish() -> None:
    record = next(iter(make_study_runs()[0].values()))
    provenance = replace(record.provenance, example_input=EXAMPLE)
    assert provenance.as_json() == record.provenance.as_json()
