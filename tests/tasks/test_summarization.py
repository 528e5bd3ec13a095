"""Summarization: article, separator, summary, end of text; what is too long is cut from the article alone."""

import pytest
from tiny import tiny_tokenizer

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example
from hf_peft_compare.tasks.summarization import SummarizationSettings, summarization_format

SETTINGS = SummarizationSettings()
EXAMPLE = Example(id="7", source="Anna found an owl near the old mill.", reference="Owl found.")


@pytest.fixture(scope="module", params=[False, True], ids=["without bos", "with bos"])
def tokenizer(request):
    return tiny_tokenizer(begins_with_bos=request.param)


def parts(tokenizer):
    """The token ids of bos, article, separator and completion, each tokenized on its own."""
    texts = (EXAMPLE.source, "\n\nTL;DR:", " Owl found.")
    article, separator, summary = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
    bos = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    return bos, article, separator, [*summary, tokenizer.eos_token_id]


def test_an_example_is_article_separator_summary_end_of_text(tokenizer):
    bos, article, separator, completion = parts(tokenizer)
    encoded = summarization_format(SETTINGS).encode(EXAMPLE, tokenizer, 200)
    assert encoded["input_ids"] == bos + article + separator + completion
    assert encoded["num_completion_tokens"] == len(completion)
    text = tokenizer.decode(encoded["input_ids"], skip_special_tokens=True)
    assert text == "Anna found an owl near the old mill.\n\nTL;DR: Owl found."


def test_the_prompt_is_what_stands_before_the_completion(tokenizer):
    encoded = summarization_format(SETTINGS).encode(EXAMPLE, tokenizer, 200)
    prompt = summarization_format(SETTINGS).encode_prompt(EXAMPLE, tokenizer, 200)
    assert prompt == encoded["input_ids"][: -encoded["num_completion_tokens"]]


def test_truncation_cuts_the_end_of_the_article_alone(tokenizer):
    bos, article, separator, completion = parts(tokenizer)
    for kept in (1, 2, len(article) - 1):
        max_length = len(bos) + kept + len(separator) + len(completion)
        encoded = summarization_format(SETTINGS).encode(EXAMPLE, tokenizer, max_length)
        assert encoded["input_ids"] == bos + article[:kept] + separator + completion
        prompt = summarization_format(SETTINGS).encode_prompt(EXAMPLE, tokenizer, max_length - len(completion))
        assert prompt == bos + article[:kept] + separator


def test_no_room_for_the_article_is_a_user_error(tokenizer):
    bos, _, separator, completion = parts(tokenizer)
    too_short = len(bos) + len(separator) + len(completion)
    with pytest.raises(UserError, match=f"row 7 has {len(completion)} tokens, .* do not fit into {too_short} tokens"):
        summarization_format(SETTINGS).encode(EXAMPLE, tokenizer, too_short)
    with pytest.raises(UserError, match="Raise max_length, or lower generation.max_new_tokens"):
        summarization_format(SETTINGS).encode_prompt(EXAMPLE, tokenizer, len(bos) + len(separator))


def test_prefix_and_suffix_stand_around_the_article(tokenizer):
    settings = SummarizationSettings(prompt_prefix="News: ", prompt_suffix=" Short:")
    prompt = summarization_format(settings).encode_prompt(EXAMPLE, tokenizer, 200)
    text = tokenizer.decode(prompt, skip_special_tokens=True)
    assert text == "News: Anna found an owl near the old mill. Short:"


def test_an_empty_suffix_adds_nothing(tokenizer):
    bos, article, _, _ = parts(tokenizer)
    settings = SummarizationSettings(prompt_suffix="")
    assert summarization_format(settings).encode_prompt(EXAMPLE, tokenizer, 200) == bos + article


def test_article_and_summary_are_stripped(tmp_path):
    import datasets

    from hf_peft_compare.tasks.summarization import summarization_examples

    rows = datasets.Dataset.from_list([{"id": "a", "article": " one \n", "highlights": "\ttwo"}])
    assert summarization_examples(rows, SETTINGS) == [Example(id="a", source="one", reference="two")]


def test_an_article_that_is_no_text_is_a_user_error():
    import datasets

    from hf_peft_compare.tasks.summarization import summarization_examples

    rows = datasets.Dataset.from_list([{"id": "a", "article": 3, "highlights": "two"}])
    with pytest.raises(UserError, match="the article of row a is int; expected text"):
        summarization_examples(rows, SETTINGS)
