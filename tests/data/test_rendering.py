"""What the model reads, as text: nothing of it is hidden, and long texts are shown by their two ends."""

import pytest
from tiny import tiny_tokenizer

from hf_peft_compare.data.rendering import MOST_CHARACTERS, render_input


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def test_the_completion_is_what_is_learned(tokenizer):
    prompt, completion = tokenizer("Anna found\n\nTL;DR:")["input_ids"], [*tokenizer(" an owl.")["input_ids"], 0]
    row = {"input_ids": prompt + completion, "num_completion_tokens": len(completion)}
    shown = {"read": "Anna found\n\nTL;DR:", "learned": " an owl.<|endoftext|>"}
    assert render_input(row, tokenizer, [], trains=True) == shown
    assert [*render_input(row, tokenizer, [], trains=False)] == ["read", "scored"]


@pytest.mark.parametrize(("label", "name"), [(1, "found"), (-100, "no known class")])
def test_a_class_is_what_is_learned(tokenizer, label, name):
    row = {"input_ids": tokenizer("Anna")["input_ids"], "label": label}
    assert render_input(row, tokenizer, ["lost", "found"], trains=True) == {"read": "Anna", "learned": name}


def test_long_texts_are_shown_by_their_ends(tokenizer):
    text = "a" * 5000 + "b" * 5000
    read = render_input({"input_ids": tokenizer(text)["input_ids"], "label": 0}, tokenizer, ["x"], trains=False)["read"]
    assert read == f"{'a' * MOST_CHARACTERS} […] {'b' * MOST_CHARACTERS}"


def test_of_a_conversation_every_part_is_shown_in_its_order(tokenizer):
    parts = ["Anna?", "An owl.", "Bert?", "A fox."]
    tokens = [tokenizer(part)["input_ids"] for part in parts]
    mask = [int(place % 2 == 1) for place, part in enumerate(tokens) for _ in part][len(tokens[0]) :]
    row = {"input_ids": sum(tokens, []), "num_completion_tokens": len(mask), "loss_mask": mask}
    shown = dict(zip(["read (1)", "learned (1)", "read (2)", "learned (2)"], parts, strict=True))
    assert render_input(row, tokenizer, [], trains=True) == shown
    assert [*render_input(row, tokenizer, [], trains=False)][1::2] == ["scored (1)", "scored (2)"]
