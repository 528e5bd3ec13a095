"""Prompt and completion as one text for a causal LM, and as two for an encoder-decoder."""

import pytest
from tiny import tiny_tokenizer

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.completions import DoesNotFit, as_two_texts, special_tokens
from hf_peft_compare.methods.few_shot import FewShotSettings
from hf_peft_compare.methods.hard_prompt import format_with_shots
from hf_peft_compare.tasks.summarization import Summarization, SummarizationSettings, summarization_format

EXAMPLE = Example(id="1", source="Anna found a fox near the river.", reference="Anna found a fox.")
SETTINGS = SummarizationSettings(prompt_prefix="summarize: ", prompt_suffix="")
EOS, BOS = "<|endoftext|>", "<s>"
# What a tokenizer adds to a text, T5's and BART's; and one that adds nothing, to whose completions eos is added.
KINDS = {"t5": {"ends_with_eos": True}, "bart": {"ends_with_eos": True, "begins_with_bos": True}, "plain": {}}
PROMPT, COMPLETION = "summarize: Anna found a fox near the river.", "Anna found a fox."
EXPECTED = {
    "t5": (PROMPT + EOS, COMPLETION + EOS),
    "bart": (BOS + PROMPT + EOS, BOS + COMPLETION + EOS),
    "plain": (PROMPT, COMPLETION + EOS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_prompt_and_completion_are_texts_with_the_special_tokens_of_their_tokenizer(kind):
    tokenizer, form = tiny_tokenizer(**KINDS[kind]), as_two_texts(summarization_format(SETTINGS))
    row = form.encode(EXAMPLE, tokenizer, 200)
    start = len(row["input_ids"]) - row["num_completion_tokens"]
    assert (tokenizer.decode(row["input_ids"][:start]), tokenizer.decode(row["input_ids"][start:])) == EXPECTED[kind]
    assert form.encode_prompt(EXAMPLE, tokenizer, 200) == row["input_ids"][:start]


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_article_is_cut_and_the_length_is_that_of_both_texts(kind):
    tokenizer, form = tiny_tokenizer(**KINDS[kind]), as_two_texts(summarization_format(SETTINGS))
    whole = form.encode(EXAMPLE, tokenizer, 200)
    row = form.encode(EXAMPLE, tokenizer, len(whole["input_ids"]) - 5)
    assert len(row["input_ids"]) == len(whole["input_ids"]) - 5
    num = whole["num_completion_tokens"]
    assert row["input_ids"][-num:] == whole["input_ids"][-num:]
    ends = len(special_tokens(tokenizer)[1])
    assert row["input_ids"][:-num][-ends:] == whole["input_ids"][:-num][-ends:] or ends == 0
    with pytest.raises(DoesNotFit, match="the completion of row 1"):
        form.encode(EXAMPLE, tokenizer, num + 2)


def test_solved_examples_stay_before_the_prompt():
    shots = FewShotSettings(shots=[{"article": "Bert met an owl.", "answer": "An owl."}])
    form = as_two_texts(format_with_shots(shots, Summarization(), SETTINGS, [], 0))
    tokenizer = tiny_tokenizer(ends_with_eos=True)
    text = tokenizer.decode(form.encode_prompt(EXAMPLE, tokenizer, 300))
    assert text.startswith("summarize: Bert met an owl. An owl.")
    assert text.endswith(PROMPT + EOS)


def test_the_two_kinds_of_tokens_are_cached_under_different_keys():
    form = summarization_format(SETTINGS)
    assert as_two_texts(form).key != form.key


def test_a_prompt_without_room_is_a_user_error():
    form, tokenizer = as_two_texts(summarization_format(SETTINGS)), tiny_tokenizer(ends_with_eos=True)
    with pytest.raises(UserError, match="Raise max_length"):
        form.encode_prompt(EXAMPLE, tokenizer, 3)
