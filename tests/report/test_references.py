"""Reference values stand beside runs of the study's file; beside any other they are greyed, and the title says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import REFERENCES, Study, make_record, make_study_runs

from hf_peft_compare.report import write_report
from hf_peft_compare.report.references import changed_subjects, title_of
from hf_peft_compare.report.sections.analysis import describe_reference
from hf_peft_compare.report.writing import gather

CHANGED = {"model_name_or_path": "command line", "dataset": "command line", "costs": "command line"}


def gathered(origins: dict[str, str], **references: object):  # type: ignore[no-untyped-def]
    """Return the material of a study with references whose LoRA run has these origins, and its runs."""
    records, predictions = make_study_runs(rows=("prompt_tuning", "lora"))
    records["lora-seed0"] = replace(records["lora-seed0"], config_origins=origins)
    study = Study(references=replace(REFERENCES, **references), methods={"prompt_tuning": {}, "lora": {}})
    return study, records, predictions


@pytest.mark.parametrize(
    ("key", "subjects"),
    [
        ("architecture.n_layer", ["model"]),
        ("test_split", ["data"]),
        ("num_test_samples", ["sizes"]),
        ("task.labels", ["task"]),
        ("training.learning_rate", ["learning rate"]),
        ("training.num_train_epochs", ["training"]),
        ("method.r", ["method"]),
        ("training.eval_batch_size", []),
    ],
)
def test_each_setting_has_a_subject_unless_scores_do_not_depend_on_it(key: str, subjects: list[str]) -> None:
    record = make_record("lora")
    assert changed_subjects(replace(record, config_origins={key: "command line"})) == subjects
    assert changed_subjects(replace(record, config_origins={key: "study"})) == []


def test_what_ran_instead_stands_in_title_row_and_cells(tmp_path: Path) -> None:
    folder = write_report(*gathered(CHANGED), tmp_path).parent
    for name in ("index.html", "README.md", "tables.tex", "report.tex"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "here: gpt2 on abisee" in text
        assert name == "report.tex" or "ref. not comparable: model, data" in text
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert '<small class="greyed">ref. 0.112</small>' in page and "<small>ref. 0.186</small>" in page


def test_a_run_of_the_file_keeps_title_and_references() -> None:
    material = gather(*gathered({"costs": "command line"}))
    assert title_of(material) == Study().title
    assert "Prompt tuning is best of 2" in "".join(describe_reference(material))


def test_references_that_are_not_comparable_or_a_minimum_are_not_ranked() -> None:
    assert not list(describe_reference(gather(*gathered(CHANGED))))
    assert not list(describe_reference(gather(*gathered({}, minimum=True))))


def test_references_of_another_model_are_shown_and_not_compared(tmp_path: Path) -> None:
    study, records, predictions = gathered({}, model="GPT-2 XL")
    page = write_report(study, records, predictions, tmp_path).read_text(encoding="utf-8")
    assert "ref. not comparable: model GPT-2 XL" in page and '<small class="greyed">ref. 0.186</small>' in page
    assert not list(describe_reference(gather(study, records, predictions)))


def test_a_minimum_is_written_as_one(tmp_path: Path) -> None:
    page = write_report(*gathered({}, minimum=True), tmp_path).read_text(encoding="utf-8")
    assert "<small>ref. ≥ 0.186</small>" in page
