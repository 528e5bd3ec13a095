"""Lengths are counted in local data; batches have the shapes of training and evaluation."""

import pytest
from tiny import tiny_tokenizer

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.data.sampler import SimilarLengthSampler
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.planning.lengths import Length, Lengths, batch_shapes, count_lengths, find_lengths


@pytest.fixture
def tokenizer():
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def config_of(study, row="lora"):
    return study.resolve(row=row, seed=0)[0]


def test_without_tokenizer_or_data_every_text_is_taken_to_fill_the_room(tiny_study, tokenizer):
    for config, given in ((config_of(tiny_study()), None), (config_of(tiny_study("dataset=some/hub-name")), tokenizer)):
        lengths = find_lengths(config, given)
        assert lengths.splits["train"] == [Length(config.max_length, config.generation.max_new_tokens)]
        assert lengths.num_examples == {"train": 24, "validation": 8, "test": 6}
        assert lengths.basis.startswith("assumed")


def test_with_data_they_are_counted(tiny_study, tokenizer):
    config = config_of(tiny_study())
    lengths = find_lengths(config, tokenizer)
    rows = tokenize_splits(config, load_examples(config), tokenizer).splits["train"]
    found = sorted(length.num_tokens for length in lengths.splits["train"])
    assert found == sorted(len(row["input_ids"]) for row in rows)
    assert lengths.basis == "counted in 38 examples of the data"


def test_mean_and_largest_micro_batch_are_those_that_training_sees(tiny_study, tokenizer):
    config = config_of(tiny_study("training.gradient_accumulation_steps=2"))
    rows = tokenize_splits(config, load_examples(config), tokenizer).splits["train"]
    lengths = Lengths(
        basis="",
        splits={
            name: [Length(len(r["input_ids"]), r["num_completion_tokens"]) for r in rows]
            for name in ("train", "validation", "test")
        },
        num_examples={"train": 24, "validation": 8, "test": 6},
    )
    shapes = batch_shapes(config, lengths)
    order = list(SimilarLengthSampler([len(row["input_ids"]) for row in rows], chunk_size=8, seed=0))
    collate = CompletionCollator(pad_token_id=0)
    batches = [collate([rows[i] for i in order[start : start + 4]]) for start in range(0, 24, 4)]
    widths = [batch["input_ids"].shape[1] for batch in batches]
    completions = [batch["labels"].shape[1] - 1 for batch in batches]
    assert shapes.train_mean == (4, round(sum(widths) / 6), round(sum(completions) / 6))
    assert shapes.train_largest == (4, max(widths), max(completions))


def test_texts_that_were_cut_are_taken_to_fill_what_there_is():
    rows = [{"input_ids": range(n), "num_completion_tokens": 3} for n in (10, 20)]
    lengths = count_lengths({"train": rows}, max_length=30, cut_at=20)
    assert sorted(lengths.splits["train"]) == [(10, 3), (30, 3)]
    assert sorted(lengths.cut("train", 25)) == [(10, 3), (25, 3)]


def test_virtual_tokens_leave_less_room(tiny_study):
    shapes = {
        row: batch_shapes(c, find_lengths(c, None))
        for row in ("prompt_tuning", "lora")
        for c in [config_of(tiny_study(), row)]
    }
    assert shapes["lora"].train_mean.width - shapes["prompt_tuning"].train_mean.width == 4


def test_a_batch_that_does_not_divide_is_refused(tiny_study):
    config = config_of(tiny_study("training.gradient_accumulation_steps=3"))
    with pytest.raises(UserError, match="train_batch_size is 8; it must be divisible"):
        batch_shapes(config, find_lengths(config, None))
