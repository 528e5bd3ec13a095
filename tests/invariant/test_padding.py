"""Padding and batch size are matters of speed: they change no score and no generated text."""

import pytest
import torch
from tiny import METHODS, shake_trainables, token_rows

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.data.collators import CompletionCollator, pad_left
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.evaluation.scoring import score_completions
from hf_peft_compare.models.heads import completion_nll

LENGTHS = (9, 40, 17, 25, 11, 33, 12, 38)
EVERY_METHOD = ["zero_shot", *METHODS]


@pytest.fixture(params=["tiny_gpt2", "tiny_llama"])
def adapted(request, build):
    """`adapted(row)`: tokenizer and model with its trainables moved, in both architectures."""
    folder = request.getfixturevalue(request.param)

    def make(row):
        built = build(row, f"model_name_or_path={folder}", methods={row: METHODS.get(row, {})})
        return built.tokenizer, shake_trainables(built.model)

    return make


@pytest.mark.parametrize("row", EVERY_METHOD)
def test_a_row_scores_the_same_however_much_it_is_padded(row, adapted):
    tokenizer, model = adapted(row)
    (example,) = token_rows([15])
    batch = CompletionCollator(pad_token_id=tokenizer.pad_token_id)([example])
    kept = batch["labels"].shape[1]
    logits = []
    for padding in (0, 1, 20):
        input_ids, mask = pad_left([example["input_ids"]], pad_token_id=tokenizer.pad_token_id)
        input_ids = torch.nn.functional.pad(input_ids, (padding, 0), value=tokenizer.pad_token_id)
        mask = torch.nn.functional.pad(mask, (padding, 0), value=0)
        with torch.no_grad():
            logits.append(model(input_ids=input_ids, attention_mask=mask).logits[:, -kept:])
    torch.testing.assert_close(logits[1], logits[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits[2], logits[0], atol=1e-4, rtol=1e-4)
    nats = [completion_nll(one, batch["labels"])[0].item() for one in logits]
    assert nats == pytest.approx([nats[0]] * 3, abs=1e-4)


@pytest.mark.parametrize("row", EVERY_METHOD)
def test_scores_are_the_same_alone_and_in_a_batch(row, adapted):
    tokenizer, model = adapted(row)
    rows = token_rows(LENGTHS)
    alone = score_completions(model, rows, pad_token_id=tokenizer.pad_token_id, batch_size=1)
    assert [tokens for _, tokens in alone] == [r["num_completion_tokens"] for r in rows]
    for batch_size in (3, 8):
        batched = score_completions(model, rows, pad_token_id=tokenizer.pad_token_id, batch_size=batch_size)
        for one, other in zip(alone, batched, strict=True):
            assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("row", EVERY_METHOD)
def test_generated_tokens_are_the_same_for_every_batch_size(row, adapted):
    tokenizer, model = adapted(row)
    prompts = [r["input_ids"] for r in token_rows(LENGTHS)]
    texts = {
        batch_size: generate_tokens(
            model, tokenizer, prompts, generation=GenerationConfig(max_new_tokens=8), batch_size=batch_size
        )
        for batch_size in (1, 3, 8)
    }
    assert texts[1] == texts[3] == texts[8]
    assert len({tuple(tokens) for tokens in texts[1]}) > 1  # the prompts are read
