"""Lengths are counted in local data; batches have the shapes of training and evaluation."""

import json
from dataclasses import replace

import pytest
from tiny import tiny_tokenizer, write_long_stories, write_partly_labeled_reviews

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.data.completions import FEWEST_SHARED
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


def test_texts_that_a_teacher_has_not_labeled_yet_are_counted(tiny_study, classifying, tmp_path, tokenizer):
    extra, labels = write_partly_labeled_reviews(tmp_path / "reviews"), tmp_path / "labels.jsonl"
    teacher = {"file": str(labels), "extra_split": "unsupervised", "num_extra_samples": 30}
    study = {**classifying, "dataset": str(tmp_path / "reviews"), "num_train_samples": 12, "labels_from": teacher}
    config = config_of(tiny_study(**study))
    planned = find_lengths(config, tokenizer)
    assert planned.num_examples["train"] == 12 + 30
    labels.write_text("".join(json.dumps({"text": row["text"], "prediction": "found"}) + "\n" for row in extra))
    assert find_lengths(config, tokenizer) == planned


def test_solved_examples_before_every_prompt_are_counted_once(tiny_study, tokenizer):
    study = tiny_study(methods={"few_shot": {"shots": 2}, "prompt_tuning": {"num_virtual_tokens": 4}}, max_length=400)
    config = config_of(study, "few_shot")
    prompts = tokenize_splits(config, load_examples(config), tokenizer).prompts
    lengths = find_lengths(config, tokenizer)
    assert lengths.num_shared >= FEWEST_SHARED
    assert len({tuple(ids[: lengths.num_shared]) for ids in prompts}) == 1
    once, each = (batch_shapes(config, found) for found in (lengths, replace(lengths, num_shared=0)))
    longest = max(length.num_tokens for length in lengths.splits["test"])
    assert each.shares["test"] - once.shares["test"] == pytest.approx(lengths.num_shared / longest)
    assert find_lengths(config_of(study, "prompt_tuning"), tokenizer).num_shared == 0


@pytest.fixture
def long_summaries(tiny_study, tmp_path):
    """`long_summaries({split: number of its rows with a long summary}, "key=value", …)`: a run on 50 rows per split."""

    def make(long, *overrides):
        whole = write_long_stories(tmp_path / "long", long)
        return config_of(tiny_study(*whole, *overrides))

    return make


def test_rows_that_a_run_leaves_out_are_left_out(long_summaries, tokenizer):
    config = long_summaries({"train": 2, "validation": 1}, "max_dropped_share=0.04")
    lengths = find_lengths(config, tokenizer)
    kept = tokenize_splits(config, load_examples(config), tokenizer).splits
    assert len(kept["train"]) == 48
    for name, rows in kept.items():
        assert sorted(length.num_tokens for length in lengths.splits[name]) == sorted(
            len(row["input_ids"]) for row in rows
        )


@pytest.mark.parametrize(
    ("long", "words"),
    [
        ({"train": 3}, r"3 of 50 train rows \(6.0%\) do not fit, more than max_dropped_share \(0.04\) .*Or raise"),
        ({"test": 1}, "the completion of row 2-0 has [0-9]+ tokens"),
    ],
)
def test_rows_that_a_run_refuses_are_refused(long, words, long_summaries, tokenizer):
    with pytest.raises(UserError, match=words):
        find_lengths(long_summaries(long, "max_dropped_share=0.04"), tokenizer)


def test_a_sample_refuses_only_what_the_whole_split_cannot_lose(long_summaries, tokenizer, monkeypatch):
    """The 2 that do not fit of 20 sampled rows may be the only ones of 50."""

    def longest(rows):
        return sorted(rows, key=lambda row: -len(getattr(row, "reference", "")))[:20]

    monkeypatch.setattr("hf_peft_compare.planning.lengths.sample", longest)
    config = long_summaries({"train": 2}, "max_dropped_share=0.04")
    assert len(find_lengths(config, tokenizer).splits["train"]) == 18


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
