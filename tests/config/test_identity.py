"""What decides a run's scores: its settings, and the content of local data, local models and plugins."""

import copy
import json
import os
import sys
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path

import pytest
from tiny import write_stories

from hf_peft_compare.config import identity
from hf_peft_compare.config.identity import Identity, changed_models, identity_of, read_identity, write_identity
from hf_peft_compare.config.schema import SCORES_DO_NOT_DEPEND_ON, RunConfig
from hf_peft_compare.config.training import TrainingConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import METHODS
from hf_peft_compare.core.settings import parse
from hf_peft_compare.records.record import read_records
from hf_peft_compare.records.run_folder import CONFIG_HASH_FILE, IDENTITY_FILE

REPORTS = Path(__file__).parents[2] / "reports"


def keys_of(kind, prefix=""):
    """The dotted keys of all settings of a dataclass; those that are dataclasses themselves are gone into."""
    for f in fields(kind):
        if is_dataclass(f.default_factory):
            yield from keys_of(f.default_factory, f"{prefix}{f.name}.")
        else:
            yield prefix + f.name


def changed(config, key):
    """A copy of a config with another value at a dotted key, whatever the types would say."""
    name, _, rest = key.partition(".")
    config = copy.copy(config)
    value = changed(getattr(config, name), rest) if rest else "another"
    object.__setattr__(config, name, value)
    return config


KEYS = list(keys_of(RunConfig))


def test_every_setting_is_looked_at():
    assert {"seed", "costs", "generation.num_beams"} | {f"training.{f.name}" for f in fields(TrainingConfig)} <= set(
        KEYS
    )
    assert set(KEYS) >= SCORES_DO_NOT_DEPEND_ON


@pytest.mark.parametrize("key", KEYS)
def test_the_hash_changes_with_every_setting_but_those_that_change_no_score(key, tiny_study):
    config, _ = tiny_study().resolve(row="lora", seed=0)
    other = changed(config, key)
    assert asdict(other) != asdict(config)
    assert (other.hash == config.hash) is (key in SCORES_DO_NOT_DEPEND_ON)
    assert other.hash_of_all != config.hash_of_all


@pytest.fixture
def local(tiny_study, tmp_path):
    """`local("key=value", …)`: the config of a run on stories and a model that a test may change."""
    data, model = tmp_path / "data.jsonl", tmp_path / "model"
    write_stories(data, 40)
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors", "README.md"):
        (model / name).write_text(name)

    def make(*overrides, row="lora", **keys):
        study = tiny_study(f"dataset={data}", f"model_name_or_path={model}", *overrides, **keys)
        return study.resolve(row=row, seed=0)[0]

    return make


def inputs(config, known=None):
    return identity_of(config, known).inputs


@pytest.mark.parametrize("study", ["minilm-daquar", "minilm-mnli", "quickstart-tuned"])
def test_what_an_earlier_version_has_finished_is_finished(study):
    """A new setting is one of `ADDED`, or else every run of before would be trained again."""
    for record in read_records(REPORTS / study / "records").values():
        assert parse(RunConfig, record.config, where=record.run).hash == record.config_hash


def test_an_edited_data_set_is_another_and_one_that_was_only_touched_is_not(local, tmp_path):
    before = identity_of(local())
    os.utime(tmp_path / "data.jsonl", (1, 1))
    touched = identity_of(local(), before)
    assert touched.inputs == before.inputs and touched.stamps != before.stamps
    text = (tmp_path / "data.jsonl").read_text()
    (tmp_path / "data.jsonl").write_text(text.replace("fox", "cat"))  # of the same size
    edited = inputs(local(), before)
    assert edited["data set"] != before.inputs["data set"]
    assert edited["base model"] == before.inputs["base model"]


def test_a_folder_of_data_counts_with_all_that_is_not_hidden(local, tmp_path):
    folder = tmp_path / "folder"
    (folder / "images").mkdir(parents=True)
    (folder / ".cache").mkdir()
    names = ("train.csv", "images/1.png", ".DS_Store", ".cache/x", "cache-0.arrow")
    seen = []
    for name in (None, *names):
        if name is not None:
            (folder / name).write_text("x")
        seen.append(inputs(local(f"dataset={folder}")).get("data set"))
    assert seen[0] is None and len(set(seen[:3])) == 3
    assert set(seen[3:]) == {seen[2]}


@pytest.mark.parametrize(
    ("name", "overrides", "counts"),
    [
        ("model.safetensors", [], True),
        ("config.json", [], True),
        ("tokenizer.json", [], True),
        ("README.md", [], False),
        (".gitattributes", [], False),
        ("model.safetensors", ["init=config"], False),
        ("config.json", ["init=config"], True),
    ],
)
def test_a_model_folder_counts_by_what_is_loaded_of_it(name, overrides, counts, local, tmp_path):
    before = identity_of(local(*overrides))
    (tmp_path / "model" / name).write_text("another")
    assert (inputs(local(*overrides), before)["base model"] != before.inputs["base model"]) is counts
    assert changed_models(local(*overrides), before) == (["base model"] if counts else [])


def test_a_tokenizer_of_its_own_and_further_models_count(local, tmp_path):
    encoder = tmp_path / "encoder"
    for folder in (tokenizer := tmp_path / "tokenizer", encoder):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    overrides = [f"tokenizer_name_or_path={tokenizer}", f"methods.fused_features.image_encoder={encoder}"]
    config = local(*overrides, row="fused_features", methods={"fused_features": {}})
    before = identity_of(config)
    (tokenizer / "config.json").write_text('{"a": 1}')
    (encoder / "config.json").write_text('{"a": 1}')
    assert changed_models(config, before) == ["tokenizer", f"model in {encoder}"]


def test_what_is_on_a_hub_or_gone_is_known_by_its_name_alone(local):
    assert inputs(local("dataset=someone/data", "model_name_or_path=someone/model")) == {}


def test_a_method_without_a_model_does_not_depend_on_one(local):
    assert set(inputs(local(row="lead", methods={"lead": {}}))) == {"data set"}


def test_what_the_package_brings_counts_by_its_content(tiny_study):
    study = tiny_study("dataset=embedded", "model_name_or_path=embedded")
    assert set(inputs(study.resolve(row="lora", seed=0)[0])) == {"data set", "base model"}


def test_files_that_did_not_change_are_not_read_again(local, monkeypatch):
    before = identity_of(local())
    monkeypatch.setattr(identity, "hash_files", lambda files: pytest.fail("read again"))
    assert identity_of(local(), before) == before


PLUGIN = """
from hf_peft_compare.methods.lora import Lora

class Mine(Lora):
    name = "mine"
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """`plugin(code)`: write a module with a method named "mine" and register it, as it is in a new process."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(code):
        sys.modules.pop("my_identity_plugin", None)
        (tmp_path / "my_identity_plugin.py").write_text(code)
        METHODS.register_module("my_identity_plugin")

    yield write
    sys.modules.pop("my_identity_plugin", None)


def test_the_code_of_a_plugin_counts_and_that_of_the_package_does_not(plugin, local):
    assert set(inputs(local())) == {"data set", "base model"}
    plugin(PLUGIN)
    before = inputs(local(row="mine", methods={"mine": {}}))
    assert set(before) == {"data set", "base model", "code of method mine"}
    plugin(PLUGIN + "    training_defaults = {'learning_rate': 1.0}\n")
    after = inputs(local(row="mine", methods={"mine": {}}))
    assert {name for name in after if after[name] != before[name]} == {"code of method mine"}


def test_it_is_read_as_it_was_written_and_the_hash_of_older_versions_too(local, tmp_path):
    assert read_identity(tmp_path) is None
    (tmp_path / CONFIG_HASH_FILE).write_text("abc")
    assert read_identity(tmp_path) == Identity(config="abc", inputs=None)
    written = identity_of(local())
    write_identity(written, tmp_path)
    assert read_identity(tmp_path) == written
    assert set(json.loads((tmp_path / IDENTITY_FILE).read_text())) == {"config", "inputs", "stamps"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": "x"}', '{"other": 1}'])
def test_a_damaged_file_is_a_user_error(text, tmp_path):
    (tmp_path / IDENTITY_FILE).write_text(text)
    with pytest.raises(UserError, match=r"identity\.json.* or delete .* and run the study again"):
        read_identity(tmp_path)
