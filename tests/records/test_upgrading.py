"""Records that older versions wrote, one of each in `older/`, are read with the same values."""

import dataclasses
import json
from pathlib import Path

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.record import RunRecord, read_record, write_record
from hf_peft_compare.records.tuning import SearchRange
from hf_peft_compare.records.upgrading import SCHEMA_VERSION, STEPS, upgrade

OLDER = sorted((Path(__file__).parent / "older").glob("version-*.json"))
SAME = ("study", "row", "seed", "config", "config_origins", "config_hash", "results", "notes")
PARTS = ("card", "parameters", "validation", "seconds", "memory", "throughput", "costs", "plan", "provenance")


def load(name):
    return json.loads((OLDER[0].parent / f"version-{name}.json").read_text(encoding="utf-8"))


def test_there_is_a_record_of_every_older_version():
    assert {json.loads(path.read_text())["schema_version"] for path in OLDER} == set(STEPS) == {1, 2}
    assert max(STEPS) + 1 == SCHEMA_VERSION


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.stem)
def test_an_older_record_keeps_its_values(path, tmp_path):
    raw = json.loads(path.read_text(encoding="utf-8"))
    record = RunRecord(**upgrade(raw))
    assert record.schema_version == SCHEMA_VERSION and raw == json.loads(path.read_text(encoding="utf-8"))
    assert {key: getattr(record, key) for key in SAME} == {key: raw[key] for key in SAME}
    for name in PARTS:
        part = {} if getattr(record, name) is None else dataclasses.asdict(getattr(record, name))
        assert {key: part[key] for key in raw.get(name) or {}} == (raw.get(name) or {}), name
    for entry, old in zip(record.history, raw["history"], strict=True):
        assert {key: value for key, value in vars(entry).items() if value is not None} == old
    for name, old in raw["scores"].items():
        assert record.scores[name].as_json() == old
    write_record(record, tmp_path)
    assert read_record(tmp_path) == record


def test_version_1_has_no_plan_no_cache_no_tuning_and_no_costs():
    record = RunRecord(**upgrade(load("1")))
    assert record.plan is record.trunk_cache is record.tuning is record.costs is None
    assert record.memory.weights_bytes is None and record.memory.resident_peak_bytes == 657_416_192


def test_the_first_records_of_version_2_have_a_plan_but_neither_tuning_nor_costs():
    record = RunRecord(**upgrade(load("2-first")))
    assert record.tuning is record.costs is None
    assert record.plan.memory.fits and record.plan.flops["train"] == 1_462_534_963_200


def test_tuning_keeps_its_trials_and_says_what_was_best(tmp_path):
    old, tuning = load("2-tuned")["tuning"], RunRecord(**upgrade(load("2-tuned"))).tuning
    assert [dataclasses.asdict(trial) for trial in tuning.trials] == [
        {**trial, "steps": None} for trial in old["trials"]
    ]
    assert (tuning.best_settings, tuning.seconds, tuning.budget) == (old["best"], old["seconds"], "6 trials")
    assert tuning.space == {"training.learning_rate": SearchRange(low=2e-5, high=2e-2)}
    assert tuning.widened == SearchRange(low=2e-2, high=2e-1)


def test_the_runs_that_filled_a_cache_are_a_list():
    old, cache = load("2-cached")["trunk_cache"], RunRecord(**upgrade(load("2-cached"))).trunk_cache
    assert (cache.num_bytes, cache.seconds, cache.filled_by) == (old["bytes"], old["seconds"], ["last_layers-trial00"])
    two = upgrade(load("2-cached") | {"trunk_cache": {**old, "filled_by": "a-seed0, b-seed1"}})
    assert two["trunk_cache"]["filled_by"] == ["a-seed0", "b-seed1"]


def test_what_was_not_measured_is_unknown():
    record = RunRecord(**upgrade(load("2-first") | dict.fromkeys(("costs", "seconds", "memory", "provenance"), {})))
    assert record.costs is record.seconds.train is record.memory.resident_peak_bytes is record.provenance.device is None


def test_an_older_record_without_its_form_is_a_user_error(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(load("2-cached") | {"trunk_cache": {"seconds": 1.0}}))
    with pytest.raises(UserError, match="record.json: it does not have the form of schema version 2.*'bytes'"):
        read_record(tmp_path)
