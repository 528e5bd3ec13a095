"""Records: whole or absent, equal after a round trip, and an error that says what to do where they are broken."""

import dataclasses
import functools
import json

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.record import RunRecord, read_record, read_records, read_runs, write_record
from hf_peft_compare.records.run_folder import read_predictions, run_name, write_predictions
from hf_peft_compare.utils.hashing import hash_json


@pytest.fixture
def record():
    return RunRecord(
        status="finished",
        error=None,
        study="tiny",
        row="lora",
        method="lora",
        seed=3,
        config={"max_length": 96, "method": {"name": "lora", "r": 4}},
        config_origins={"max_length": "study"},
        config_hash="abc",
        card={"title": "LoRA"},
        results={"test_loss": 1 / 3},
        memory={"baseline_bytes": None},
        history=[{"step": 1, "loss": 0.1 + 0.2}],
        notes=["ünïcode"],
    )


def test_a_record_is_the_same_after_a_round_trip(record, tmp_path):
    write_record(record, tmp_path / "new" / "folder")
    assert read_record(tmp_path / "new" / "folder") == record
    assert record.run == run_name(row="lora", seed=3) == "lora-seed3"
    assert record.finished
    assert not dataclasses.replace(record, status="failed").finished


def test_a_record_cut_short_is_a_user_error(record, tmp_path):
    write_record(record, tmp_path)
    path = tmp_path / "record.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match="record.json cannot be read: .*run the study again"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["unheard_of"], 1, "unknown key 'unheard_of'"),
        (["memory", "weights_bytes"], "large", "memory.weights_bytes is 'large': input should be a valid integer"),
        (["memory", "unheard_of"], 1, "unknown key 'memory.unheard_of'"),
        (["history", 0, "loss"], [], r"history.0.loss is \[\]: input should be a valid number"),
        (["card"], {}, "key 'card.title' is missing"),
        (["status"], "half done", "status is 'half done': input should be 'finished' or 'failed'"),
    ],
)
def test_a_wrong_value_is_a_user_error_that_names_file_and_key(keys, value, message, record, tmp_path):
    raw = dataclasses.asdict(record)
    *parents, last = keys
    functools.reduce(lambda tree, key: tree[key], parents, raw)[last] = value
    (tmp_path / "record.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=f"{tmp_path}/record.json: {message}.*run the study again"):
        read_record(tmp_path)


def test_a_record_that_lacks_a_field_is_a_user_error(record, tmp_path):
    raw = dataclasses.asdict(record)
    del raw["results"]
    (tmp_path / "record.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=f"{tmp_path}/record.json: key 'results' is missing"):
        read_record(tmp_path)


def test_a_record_of_a_newer_version_asks_for_a_newer_package(record, tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(dataclasses.asdict(record) | {"schema_version": 99}))
    with pytest.raises(UserError, match=f"{tmp_path}/record.json.* version 99;.*up to 3. Install a newer release: pip"):
        read_record(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_json_that_is_no_record_is_a_user_error(text, tmp_path):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(UserError, match="not a record"):
        read_record(tmp_path)


def test_a_missing_record_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="run the study first"):
        read_record(tmp_path)


def test_the_hash_does_not_depend_on_key_order():
    assert hash_json({"a": 1, "b": {"c": 2, "d": 3}}) == hash_json({"b": {"d": 3, "c": 2}, "a": 1})
    assert hash_json({"a": 1}) != hash_json({"a": 2})
    assert hash_json({"a": 1}) != hash_json({"a": "1"})


def test_predictions_are_the_same_after_a_round_trip(tmp_path):
    rows = [
        {"id": "1", "prediction": "two\nlines \u2028 ü", "scores": {"rouge1": 1 / 3}},
        {"id": "2", "prediction": ""},
    ]
    write_predictions(rows, tmp_path)
    assert list(read_predictions(tmp_path)) == rows
    assert list(read_predictions(tmp_path / "nowhere")) == []


def test_texts_that_runs_share_are_kept_once(record, tmp_path):
    for row in ("lora", "full"):
        write_record(dataclasses.replace(record, row=row), tmp_path / f"{row}-seed3")
        write_predictions([{"id": "1", "reference": "a long story", "scores": {}}], tmp_path / f"{row}-seed3")
    (full,), (lora,) = read_runs(tmp_path)[1].values()
    assert full["reference"] == "a long story" and full["reference"] is lora["reference"]


def test_predictions_cut_short_are_a_user_error(tmp_path):
    write_predictions([{"id": "1"}, {"id": "2"}], tmp_path)
    path = tmp_path / "predictions.jsonl"
    path.write_text(path.read_text()[:-5])
    with pytest.raises(UserError, match="predictions.jsonl cannot be read: .*, in line 2. Restore it"):
        list(read_predictions(tmp_path))


def test_read_records_gives_every_run_of_a_study(record, tmp_path):
    write_record(record, tmp_path / "lora-seed3")
    write_record(dataclasses.replace(record, row="full"), tmp_path / "full-seed3")
    (tmp_path / "unfinished-seed3").mkdir()
    assert list(read_records(tmp_path)) == ["full-seed3", "lora-seed3"]
