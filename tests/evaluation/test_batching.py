"""Batches: grouped by length, every item once, halved when memory runs out."""

import random

import pytest
import torch
from tiny import token_rows

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.evaluation import generation, scoring
from hf_peft_compare.evaluation.batching import map_batches
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.evaluation.scoring import score_completions

ROWS = token_rows([9, 30, 17, 25])


@pytest.fixture
def batches():
    """`batches(lengths, …)`: the batches of item numbers that items of these lengths come in."""

    def make(lengths, **settings):
        seen = []

        def square(batch):
            seen.append(batch)
            return [item**2 for item in batch]

        squares = map_batches(square, range(len(lengths)), lengths=lengths, **settings)
        assert squares == [item**2 for item in range(len(lengths))]
        return seen

    return make


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_results_come_in_the_order_of_the_items_and_batches_longest_first(batch_size, batches):
    seen = batches([3, 1, 2], batch_size=batch_size)
    assert [item for batch in seen for item in batch] == [0, 2, 1]


def test_texts_of_one_length_come_in_batches_of_the_batch_size(batches):
    assert list(map(len, batches([7] * 10, batch_size=4))) == [4, 4, 2]


def test_shorter_texts_come_in_larger_batches(batches):
    # Room for 2 × 100 tokens: two of 100, four of 50, twenty of 10.
    assert list(map(len, batches([100] * 2 + [50] * 4 + [10] * 25, batch_size=2))) == [2, 4, 20, 5]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_no_batch_takes_more_tokens_or_logits_than_the_longest_texts_would(batch_size, batches):
    rng = random.Random(0)
    lengths = [rng.randint(5, 200) for _ in range(300)]
    num_logits = [rng.randint(1, length) for length in lengths]
    seen = batches(lengths, num_logits=num_logits, batch_size=batch_size)
    for columns in (lengths, num_logits):
        taken = [len(batch) * max(columns[i] for i in batch) for batch in seen]
        assert max(taken) <= batch_size * max(columns)
    assert len(seen) < 300 / batch_size  # fewer than of a fixed size


def test_long_completions_of_short_texts_are_no_larger_a_batch(batches):
    assert list(map(len, batches([100] + [10] * 6, num_logits=[5] + [4] * 6, batch_size=5))) == [5, 2]


def test_running_out_of_memory_leaves_less_room_for_shorter_texts_too():
    sizes = []

    def only_small(batch):
        sizes.append((len(batch), max(batch)))
        if len(batch) * max(batch) > 200:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return batch

    items = [100] * 4 + [50] * 4 + [10] * 20
    assert map_batches(only_small, items, lengths=items, batch_size=4) == items
    assert sizes == [(4, 100), (2, 100), (2, 100), (4, 50), (20, 10)]


@pytest.mark.parametrize("row", ["full", "prompt_tuning", "prefix_tuning", "p_tuning"])
def test_virtual_tokens_take_room_in_a_batch(row, build, monkeypatch):
    seen = []
    original = map_batches

    def remember(*args, **kwargs):
        seen.append(kwargs["lengths"])
        return original(*args, **kwargs)

    for module in (scoring, generation):
        monkeypatch.setattr(module, "map_batches", remember)
    built = build(row)
    score_completions(built.model, ROWS, pad_token_id=0, batch_size=2)
    prompts = [row["input_ids"] for row in ROWS]
    generate_tokens(built.model, built.tokenizer, prompts, generation=GenerationConfig(max_new_tokens=5), batch_size=2)
    taken = 0 if row == "full" else 4
    assert seen == [[len(p) + taken for p in prompts], [len(p) + taken + 5 for p in prompts]]


def test_no_items_have_no_results():
    assert map_batches(lambda batch: batch, [], lengths=[], batch_size=4) == []
