"""Splits are what they are called: cut from train only where the study says so, or where there is one table only."""

import re

import pytest
from tiny import write_stories

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import SPLITS


def ids(examples):
    return [example.id for example in examples]


@pytest.fixture
def two_files(tmp_path):
    """A folder with 30 rows of train and 10 of test; their ids begin with 0 and with 1."""
    write_stories(tmp_path / "train.jsonl", 30, seed=0)
    write_stories(tmp_path / "test.jsonl", 10, seed=1)
    return f"dataset={tmp_path}"


def test_a_split_named_like_train_is_cut_from_it(load, two_files):
    examples = load(two_files, "validation_split=train", "num_train_samples=null")
    assert all(example.id.startswith("1-") for example in examples["test"])
    assert all(example.id.startswith("0-") for example in examples["train"] + examples["validation"])
    assert len(examples["train"]) == 30 - 8
    assert not set(ids(examples["train"])) & set(ids(examples["validation"]))
    assert examples.sources == {"train": "train", "validation": "train", "test": "test"}


def test_splits_may_have_other_names(load, tmp_path):
    write_stories(tmp_path / "train.jsonl", 40, seed=0)
    write_stories(tmp_path / "validation.jsonl", 10, seed=1)
    examples = load(f"dataset={tmp_path}", "test_split=validation", "validation_split=train")
    assert all(example.id.startswith("1-") for example in examples["test"])
    assert all(example.id.startswith("0-") for example in examples["validation"])
    assert examples.sources == {"train": "train", "validation": "train", "test": "validation"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "num_train_samples=2",
            "no split 'validation'; it has train, test. Set validation_split to one of them, or to",
        ),
        ("test_split=tets", "no split 'tets'; it has train, test. Did you mean 'test'?"),
        ("train_split=trian", "no split 'trian'; it has train, test. Did you mean 'train'? Set train_split to one of"),
        ("test_split=validation", "validation_split and test_split are both 'validation'"),
    ],
)
def test_a_named_split_that_does_not_exist_is_never_cut(override, message, load, two_files):
    with pytest.raises(UserError, match=re.escape(message)):
        load(two_files, override, *(["validation_split=train"] if "=tets" in override else []))


def test_a_split_that_is_misspelt_is_not_cut_from_a_single_table_either(load, tmp_path):
    path = write_stories(tmp_path / "all.jsonl", 40)
    assert load(f"dataset={path}").sources == dict.fromkeys(SPLITS, "train")
    with pytest.raises(UserError, match="no split 'tets'; it has train"):
        load(f"dataset={path}", "test_split=tets")
