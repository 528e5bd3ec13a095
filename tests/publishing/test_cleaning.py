"""Records lose their host, and their local paths get the names that others know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_stand_in import HOST, SECRET_TEXT

from hf_peft_compare.config.layers import flatten
from hf_peft_compare.publishing.cleaning import clean_record, clean_study, private_names, scrubber_of, without_texts
from hf_peft_compare.quickstart import BASE_FOLDER
from hf_peft_compare.report.sections.confusion import count_answers
from hf_peft_compare.results.result import Result


@pytest.fixture(scope="module")
def result(study: Path) -> Result:
    return Result.read(study)


def test_local_inputs_hosts_and_secrets_of_this_machine_are_private(
    result: Result, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "0123456789abcdefXYZ")
    monkeypatch.setattr("getpass.getuser", lambda: "annalena")
    names = private_names(result, namespace="anna")
    assert names[str(base)] == "local model" and names[HOST] == "host name"
    assert names["0123456789abcdefXYZ"] == "secret" and names["annalena"] == "user name"
    assert "embedded" not in names and "/" not in names
    assert "annalena" not in private_names(result, namespace="annalena")


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 1000650000"), OSError("No username set")])
def test_a_user_without_a_name_has_none_that_could_leak(
    error: Exception, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", unknown)
    assert "" not in private_names(result, namespace="anna")


def test_a_relative_path_of_a_local_data_set_is_private_and_a_hub_id_is_not(result: Result) -> None:
    record = result.records["lora-seed0"]
    for dataset, inputs, kind in (("data/x.csv", {"data set": "1"}, "local data set"), ("stanfordnlp/imdb", {}, None)):
        made = replace(record.provenance, inputs=inputs)
        local = replace(record, config={**record.config, "dataset": dataset}, provenance=made)
        assert private_names(replace(result, records={"run": local}), namespace="anna").get(dataset) == kind


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({"labels_from": {"file": "data/labels.jsonl"}}, "teacher's labels"),
        ({"labels_from": {"run": "runs/teacher/lora-seed0"}}, "teacher's labels"),
        ({"lm_eval_include_path": "my/tasks"}, "task files of lm_eval"),
    ],
)
def test_what_a_run_read_beside_its_data_is_private(settings: dict[str, Any], source: str, result: Result) -> None:
    record = result.records["lora-seed0"]
    (path,) = flatten(settings).values()
    made = replace(record.provenance, inputs={source: "1"})
    ran = replace(record, config={**record.config, **settings}, provenance=made)
    assert private_names(replace(result, records={"run": ran}), namespace="anna")[path] == "local file"


def test_a_file_that_the_study_names_and_no_run_has_read_is_private(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("labels.jsonl").touch()
    rows = {**result.study.methods, "gold": {"method": "lora", "labels_from": {"file": "labels.jsonl", "use": "gold"}}}
    study = replace(result.study, methods=rows)
    assert private_names(replace(result, study=study), namespace="anna")["labels.jsonl"] == "local file"


def test_a_clean_record_has_no_host_no_text_and_hub_ids(result: Result, base: Path) -> None:
    record = result.records["lora-seed0"]
    scrubber = scrubber_of({}, result.folder, {str(base): "anna/base"}, redact=False)
    clean = clean_record(record, scrubber, with_texts=False)
    assert record.provenance.host == HOST and clean.provenance.host is None
    assert record.provenance.example_input["read"] == SECRET_TEXT and clean.provenance.example_input == {}
    assert clean.config["model_name_or_path"] == "anna/base" and clean.results == record.results
    assert clean_study(result.study, scrubber).model_name_or_path == "anna/base"
    assert clean_record(record, scrubber, with_texts=True).provenance.example_input["read"] == SECRET_TEXT


def test_an_input_that_is_named_by_its_path_is_scrubbed_too(result: Result) -> None:
    record = result.records["lora-seed0"]
    made = replace(record.provenance, inputs={"data": "0a", "model in /home/anna/adapter": "0b"})
    scrubber = scrubber_of({"/home/anna/adapter": "path"}, result.folder, {}, redact=True)
    clean = clean_record(replace(record, provenance=made), scrubber, with_texts=False)
    assert clean.provenance.inputs == {"data": "0a", "model in (redacted path)": "0b"}


def test_folders_of_the_study_and_of_packages_are_replaced_without_being_asked(result: Result) -> None:
    scrubber = scrubber_of({}, result.folder, {}, redact=False)
    traced = 'File "/home/anna/env/lib/python3.11/site-packages/torch/x.py"'
    said = f"{result.folder}/lora-seed0/log.txt, {BASE_FOLDER}, {traced}"
    assert scrubber.text(said) == 'runs/tiny/lora-seed0/log.txt, embedded, File "torch/x.py"'


def test_scores_without_texts_are_what_intervals_need() -> None:
    line = {"id": "1", "source": "a", "reference": "b", "prediction": "c", "scores": {"x": 1.0}, "nll": 2.0}
    assert without_texts([line]) == [{"id": "1", "scores": {"x": 1.0}, "nll": 2.0}]


def test_the_classes_of_examples_stay_where_the_verdict_counts_them_and_make_no_matrix() -> None:
    line = {"id": "1", "source": "a", "reference": "joy", "prediction": "joy", "scores": {"f1_macro": 1.0}}
    (kept,) = without_texts([line])
    assert kept == {"id": "1", "scores": {"f1_macro": 1.0}, "reference": "joy"}
    assert not count_answers([[kept]]) and count_answers([[line]])
