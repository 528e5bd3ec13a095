"""The doctor finds data and bases that are not what they are taken for, even where nothing else refuses them."""

import shutil

import pytest
from safetensors.torch import load_file, save_file
from tiny import stories, write_rows

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data import splits
from hf_peft_compare.diagnostics.examining import examine
from hf_peft_compare.diagnostics.results import DOES_NOT_APPLY, PROBLEM
from hf_peft_compare.planning.planner import configs_of


@pytest.fixture
def findings(tiny_study, tmp_path):
    """`findings(row, "key=value", rows=…)`: what the doctor finds; `rows` replaces the data by one table."""

    def find(row, *overrides, rows=None):
        if rows is not None:
            overrides = (*overrides, f"dataset={write_rows(tmp_path / 'rows.jsonl', rows)}")
        (examination,) = examine(configs_of(tiny_study(*overrides, methods={"lead": {}, "lora": {}}), [row]))
        return examination.findings

    return find


def problems(findings):
    return {name for name, finding in findings.items() if finding.status == PROBLEM}


def test_where_the_rows_come_from_is_said(findings):
    assert findings("lead")["splits"].found == (
        "train: 24 rows from train; validation: 8 rows from validation; test: 6 rows from test"
    )
    found = findings("lead", rows=stories(40, seed=0))
    assert problems(found) == set() and found["splits"].found.endswith("test: 6 rows cut from train")


def test_a_split_that_is_cut_though_the_study_names_another(findings, monkeypatch):
    found = splits.split_sources
    monkeypatch.setattr(splits, "split_sources", lambda *args: {**found(*args), "test": "train"})
    assert problems(findings("lead")) == {"splits"}


def test_ids_that_are_repeated(findings, monkeypatch):
    monkeypatch.setattr(splits, "check_ids", lambda *args: None)
    found = findings("lead", rows=[{**row, "id": n // 8} for n, row in enumerate(stories(40, seed=0))])
    assert problems(found) == {"ids"}


def test_test_texts_that_are_in_train(findings):
    found = findings("lead", rows=[{**row, "id": n} for n, row in enumerate(stories(5, seed=0) * 8)])
    assert problems(found) == {"overlap"} and found["overlap"].found == "6 of 6"


@pytest.fixture
def broken(tmp_path, tiny_gpt2):
    """A copy of the tiny model's folder, to break."""
    shutil.copytree(tiny_gpt2, tmp_path / "broken")
    return tmp_path / "broken"


def test_weights_of_another_model(findings, broken):
    path = broken / "model.safetensors"
    save_file({f"zzz.{name}": t for name, t in load_file(path).items()}, path, metadata={"format": "pt"})
    found = findings("lora", f"model_name_or_path={broken}")
    assert problems(found) == {"weights"}
    assert found["gradients"].status == DOES_NOT_APPLY


def test_a_tokenizer_without_vocabulary(findings, broken):
    for path in broken.glob("*token*"):
        path.unlink()
    assert problems(findings("lora", f"model_name_or_path={broken}")) == {"vocabulary"}


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_model_that_cannot_be_read_is_bad_input_as_in_a_run(name, findings, broken):
    (broken / name).write_bytes(b"")
    with pytest.raises(UserError, match=f"cannot be read: {name} is empty"):
        findings("lora", f"model_name_or_path={broken}")
