"""Instructed classification: the answer is generated and read, or the likeliest is taken."""

from dataclasses import replace

import pytest
from tiny import LABELS

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.answers import NO_ANSWER
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.tasks.instructed_classification import (
    InstructedClassificationSettings,
    instructed_classification_format,
)

TEMPLATE = "{text}\nWhat became of the animal?"


@pytest.fixture
def asking(tiny_reviews):
    """Keys of a study that asks a GPT-2 what a review tells."""
    task = {"name": "instructed_classification", "labels": LABELS, "template": TEMPLATE}
    return {"task": task, "dataset": str(tiny_reviews), "methods": {"zero_shot": {}, "full": {}, "lora": {"r": 4}}}


def test_the_prompt_is_the_template_and_the_completion_the_answer(asking, tiny_study):
    config, _ = tiny_study(**asking).resolve(row="full", seed=0)
    tokenizer, examples = load_tokenizer(config), load_examples(config)
    row = tokenize_splits(config, examples, tokenizer).splits["test"][0]
    text = tokenizer.decode(row["input_ids"])
    example = examples["test"][0]
    assert text == f"{example.source}\nWhat became of the animal? {example.reference}<|endoftext|>"


def test_what_is_written_is_kept_and_what_it_is_read_as_is_scored(asking, train, tmp_path):
    settings = ("training.num_train_epochs=30", "training.learning_rate=0.005", "num_train_samples=48")
    patient = "training.early_stopping_patience=null"
    record = train("full", *settings, patient, folder="run", **asking)
    rows = list(read_predictions(tmp_path / "run"))
    assert {row["answer"] for row in rows} <= {*LABELS, NO_ANSWER}
    assert all(row["answer"] == NO_ANSWER or row["answer"] in row["prediction"] for row in rows)
    assert record.results["accuracy"] == sum(row["answer"] == row["reference"] for row in rows) / len(rows)
    assert record.results["no_answer"] < 0.5  # it has learned to answer


def test_the_likeliest_answer_is_always_one(asking, train, tmp_path):
    record = train("zero_shot", "task.scoring=likelihood", folder="run", **asking)
    assert {row["prediction"] for row in read_predictions(tmp_path / "run")} <= set(LABELS)
    assert "no_answer" not in record.results and record.throughput.num_generated_tokens is None


def test_answers_that_would_be_cut_are_refused(asking, tiny_study):
    """A model that has learned everything would be read as giving no answer, and score 0."""
    config, _ = tiny_study("generation.max_new_tokens=2", **asking).resolve(row="lora", seed=0)
    with pytest.raises(UserError, match="lora: the answers have up to . tokens, but generation.max_new_tokens is 2"):
        tokenize_splits(config, load_examples(config), load_tokenizer(config))


def test_answers_whose_letters_the_tokenizer_does_not_know_are_refused(asking, tiny_study):
    """They would be equally likely, whatever the text says, and the first of them would be the answer."""
    from tokenizers import Regex, normalizers

    labels = ["Ω", "Ж"]
    task = {**asking["task"], "labels": labels, "answers": {}, "scoring": "likelihood"}
    config, _ = tiny_study(**{**asking, "task": task}).resolve(row="zero_shot", seed=0)
    tokenizer = load_tokenizer(config)
    examples = {"test": [Example(id="0", source="A cat.", reference="Ω")], "train": []}
    assert len(tokenize_splits(config, examples, tokenizer).candidates) == 2
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(Regex("[ΩЖ]"), "?")
    with pytest.raises(UserError, match="the answers 'Ω' and 'Ж' are the same tokens for this base's tokenizer"):
        tokenize_splits(config, examples, tokenizer)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["C", "C++"], r"the answer 'C\+\+' to label 'C\+\+' is read as 'C' is"),
        (["<5", ">5"], "the answer '>5' to label '>5' is read as '<5' is"),
        (["+", "-"], r"the answer '\+' to label '\+' has no letter and no digit"),
    ],
)
def test_answers_that_cannot_be_told_apart_are_refused(labels, message):
    """Each text that says ">5" would be read as "<5"."""
    settings = InstructedClassificationSettings(labels=labels)
    with pytest.raises(UserError, match=message):
        instructed_classification_format(settings)
    instructed_classification_format(replace(settings, scoring="likelihood"))
    words = dict(zip(labels, (["low"], ["high"]), strict=True))
    instructed_classification_format(replace(settings, answers=words))
