"""A file of a model folder that cannot be read is named, with what it is instead."""

import shutil

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.loading import load_base, load_tokenizer
from hf_peft_compare.orchestration.preflight import check
from hf_peft_compare.planning.planner import plan_study
from hf_peft_compare.utils.model_files import find_damage

CONTENTS = {
    "empty": (b"", "is empty"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "is a pointer of Git LFS; .*git lfs pull",
    ),
    "page": (b"<!DOCTYPE html><html>", "is a web page"),
    "refusal": (b"Invalid username or password.", "is a text that begins with 'Invalid username"),
    "garbage": (bytes(range(128, 256)), "is damaged or cut short"),
}
FILES = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def stranger(tiny_gpt2, tmp_path):
    """A model folder to break."""
    return shutil.copytree(tiny_gpt2, tmp_path / "stranger")


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", FILES)
def test_the_check_of_a_study_names_it(name, kind, stranger, tiny_study):
    content, what = CONTENTS[kind]
    (stranger / name).write_bytes(content)
    what = "is damaged" if kind == "refusal" and name.endswith(".json") else what
    study = tiny_study(f"model_name_or_path={stranger}", methods={"lora": {}})
    configs = [config for config, _ in study.resolve_all()]
    for attempt in (lambda: check(configs, num_processes=1), lambda: plan_study(configs)):
        with pytest.raises(UserError, match=f"stranger cannot be read: {name} {what}"):
            attempt()


def test_weights_that_are_cut_short(stranger, tiny_study):
    path = stranger / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="model.safetensors is damaged or cut short .SafetensorError"):
        load_base(tiny_study(f"model_name_or_path={stranger}").config)


def test_a_shard_that_is_missing(stranger, tiny_study):
    load_base(tiny_study().config).save_pretrained(stranger, max_shard_size="20KB")
    (stranger / "model.safetensors").unlink()
    first = sorted(stranger.glob("model-*.safetensors"))[0]
    first.unlink()
    with pytest.raises(UserError, match=first.name):
        load_base(tiny_study(f"model_name_or_path={stranger}").config)


def test_a_whole_folder_has_no_damage(tiny_gpt2, tiny_bert, tiny_study):
    assert find_damage(tiny_gpt2) is find_damage(tiny_bert) is None
    load_tokenizer(tiny_study().config)
