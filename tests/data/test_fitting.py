"""Rows that do not fit: left out of train and validation within a limit, refused in test; cuts are counted."""

import pytest
from tiny import write_long_stories

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.models.loading import load_tokenizer


@pytest.fixture
def tokenize(tiny_study, tmp_path):
    """`tokenize({split: number of its rows with a long summary}, "key=value", …)`: the tokens of 50 rows per split."""

    def make(long, *overrides, cache=None):
        whole = write_long_stories(tmp_path / "data", long)
        config, _ = tiny_study(*whole, *overrides).resolve(row="lora", seed=0)
        return tokenize_splits(config, load_examples(config), load_tokenizer(config), cache=cache)

    return make


def test_rows_that_do_not_fit_are_left_out_up_to_the_share_that_is_allowed(tokenize, tmp_path):
    long = {"train": 2, "validation": 1}
    for _ in range(2):  # the second time from the cache
        encoded = tokenize(long, "max_dropped_share=0.04", cache=tmp_path / "cache")
        assert {name: len(split) for name, split in encoded.splits.items()} == {
            "train": 48,
            "validation": 49,
            "test": 50,
        }
        assert encoded.num_dropped == {"train": 2, "validation": 1}
        assert min(len(row["input_ids"]) for row in encoded.splits["train"]) > 0
    with pytest.raises(
        UserError, match=r"2 of 50 train rows \(4.0%\) do not fit.*row 0-[01] has [0-9]+ tokens.*Or raise"
    ):
        tokenize(long)


def test_a_test_row_that_does_not_fit_is_refused_whatever_is_allowed(tokenize):
    with pytest.raises(UserError, match="test rows are never left out: the completion of row 2-0 has"):
        tokenize({"test": 1}, "max_dropped_share=0.5")


def test_rows_whose_text_is_truncated_are_counted(tokenize):
    assert tokenize({}, "max_length=500").num_cut == {}
    encoded, whole = tokenize({}, "max_length=60"), tokenize({}, "max_length=500")
    lengths = [len(row["input_ids"]) for row in whole.splits["train"]]
    assert encoded.num_cut["train"] == sum(length > 60 for length in lengths) > 0
    assert encoded.num_cut["test"] == sum(len(prompt) > 60 - 8 for prompt in whole.prompts) > 0
