"""Conversations of several turns score and train alike, however they are padded, batched, packed and accumulated."""

import pytest
import torch
from conversations import conversations, example_of, format_of_chats, targets, tokenizer_of_a_run
from tiny import tiny_config
from transformers import AutoModelForCausalLM

from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.data.packing import pack
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.evaluation.scoring import score_completions

MANY = 700  # tokens


@pytest.fixture
def rows(tiny_study):
    """Conversations encoded with a chat template."""
    tokenizer, form = tokenizer_of_a_run(), format_of_chats(tiny_study().config)
    encoded = [form.encode(example_of(row["messages"]), tokenizer, MANY) for row in conversations(6, seed=1)]
    assert len({len(row["input_ids"]) for row in encoded}) > 2
    assert any(0 in row["loss_mask"] for row in encoded)
    return [cut_ids(row) for row in encoded]


def cut_ids(row):
    """Tokens within the vocabulary and the positions of the tiny models."""
    return {**row, "input_ids": [token % 300 for token in row["input_ids"]]}


@pytest.fixture(params=["gpt2", "llama"])
def model(request):
    torch.manual_seed(0)
    config = tiny_config(request.param)
    config.max_position_embeddings = MANY
    model = AutoModelForCausalLM.from_config(config).eval()
    count_positions_from_mask(model)
    return model


def test_the_loss_is_that_of_the_learned_tokens_given_all_before(model, rows):
    scored = score_completions(model, rows, pad_token_id=0, batch_size=4)
    for row, (nats, number) in zip(rows, scored, strict=True):
        ids, num = row["input_ids"], row["num_completion_tokens"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
        places = [len(ids) - num + place for place, one in enumerate(row["loss_mask"]) if one]
        assert number == len(places) == len(targets(row))
        assert nats == pytest.approx(sum(-logits[place - 1, ids[place]].item() for place in places), abs=1e-3)


def test_neither_batch_nor_padding_changes_a_loss(model, rows):
    alone, together = (score_completions(model, rows, pad_token_id=0, batch_size=size) for size in (1, 6))
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_packed_losses_and_gradients_equal_padded_ones(model, rows):
    batch = CompletionCollator(pad_token_id=0)(rows)
    number = torch.tensor((batch["labels"] != -100).sum())
    losses, gradients = [], []
    for inputs in (batch, pack(batch)):
        model.zero_grad()
        loss = model(**inputs, num_items_in_batch=number).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-3)
    nats, labels = zip(*score_completions(model, rows, pad_token_id=0, batch_size=6), strict=True)
    assert losses[0] == pytest.approx(sum(nats) / sum(labels), abs=1e-4)
