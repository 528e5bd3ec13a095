"""Where a soft prompt starts: at random, at tokens of the vocabulary, or at a text."""

import pytest
import torch
from tiny import tiny_tokenizer

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.prompt_initializers import random_prompt, text_prompt, vocabulary_prompt

EMBEDDINGS = torch.arange(300 * 4, dtype=torch.float32).reshape(300, 4)  # row i is [4i, 4i + 1, …]
TEXT = "the fox found"


@pytest.fixture(scope="module", params=[False, True], ids=["without bos", "with bos"])
def tokenizer(request):
    return tiny_tokenizer(begins_with_bos=request.param)


def rows_of(prompt):
    """The token ids whose embeddings a prompt is made of."""
    ids = (prompt[:, 0] / 4).long()
    assert torch.equal(prompt, EMBEDDINGS[ids])
    return ids.tolist()


def test_a_random_prompt_is_as_wide_as_the_vocabulary():
    torch.manual_seed(0)
    embeddings = 0.5 * torch.randn(1000, 16)
    prompt = random_prompt(embeddings, num_virtual_tokens=500)
    assert prompt.shape == (500, 16)
    assert prompt.std().item() == pytest.approx(0.5, rel=0.05)
    assert prompt.mean().item() == pytest.approx(0, abs=0.02)


def test_a_vocabulary_prompt_has_the_embeddings_of_tokens_each_once():
    torch.manual_seed(0)
    first = rows_of(vocabulary_prompt(EMBEDDINGS, num_virtual_tokens=20))
    assert len(set(first)) == 20
    assert rows_of(vocabulary_prompt(EMBEDDINGS, num_virtual_tokens=20)) != first
    torch.manual_seed(0)
    assert rows_of(vocabulary_prompt(EMBEDDINGS, num_virtual_tokens=20)) == first


def test_a_prompt_longer_than_the_vocabulary_uses_each_token_before_any_twice():
    ids = rows_of(vocabulary_prompt(EMBEDDINGS, num_virtual_tokens=700))
    assert len(ids) == 700
    assert {ids.count(i) for i in range(300)} == {2, 3}


def test_a_text_prompt_has_the_embeddings_of_its_tokens_without_special_ones(tokenizer):
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    assert rows_of(text_prompt(EMBEDDINGS, num_virtual_tokens=len(ids), text=TEXT, tokenizer=tokenizer)) == ids
    assert tokenizer.bos_token_id not in ids


def test_a_text_is_cut_or_repeated_to_the_number_of_virtual_tokens(tokenizer):
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    for size in (1, 2, len(ids) + 1, 3 * len(ids) - 1):
        found = rows_of(text_prompt(EMBEDDINGS, num_virtual_tokens=size, text=TEXT, tokenizer=tokenizer))
        assert found == (ids * 3)[:size]


def test_a_text_without_tokens_is_a_user_error(tokenizer):
    with pytest.raises(UserError, match="prompt_tuning_init_text is '', which has no tokens"):
        text_prompt(EMBEDDINGS, num_virtual_tokens=2, text="", tokenizer=tokenizer)


def test_a_prompt_is_a_float32_copy_that_needs_no_gradient_of_the_embeddings():
    embeddings = torch.nn.Parameter(EMBEDDINGS.half())
    for prompt in (
        vocabulary_prompt(embeddings, num_virtual_tokens=3),
        random_prompt(embeddings, num_virtual_tokens=3),
        text_prompt(embeddings, num_virtual_tokens=3, text=TEXT, tokenizer=tiny_tokenizer()),
    ):
        assert prompt.dtype == torch.float32
        assert not prompt.requires_grad
        assert prompt.data_ptr() != embeddings.data_ptr()


def test_summarize_is_six_tokens_of_gpt2s_vocabulary(test_data):
    # Course report, 2024: six soft tokens from "[SUMMARIZE]".
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(test_data / "checkpoints/gpt2-tokenizer")
    embeddings = torch.arange(50_257, dtype=torch.float32)[:, None]
    prompt = text_prompt(embeddings, num_virtual_tokens=6, text="[SUMMARIZE]", tokenizer=tokenizer)
    assert prompt[:, 0].tolist() == [58, 50, 5883, 40569, 35400, 60]
