"""Evaluation: the loss of completions alone, text from prompts alone, one result per example in its order."""

import random

import pytest
import torch
from tiny import METHODS, shake_trainables, tiny_model, tiny_tokenizer, token_rows

from hf_peft_compare.config.schema import GenerationConfig
from hf_peft_compare.core.registry import get_metric
from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.evaluation import generation, scoring
from hf_peft_compare.evaluation.batching import map_batches
from hf_peft_compare.evaluation.generation import generate_texts, generate_tokens
from hf_peft_compare.evaluation.scoring import completion_nll, score_completions, score_texts

ROWS = token_rows([9, 30, 17, 25])


def written_out_nll(model, row):
    """The definition, token by token: -log p(token | everything before it), for the completion's tokens."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0].double()
    last = range(len(row["input_ids"]) - row["num_completion_tokens"], len(row["input_ids"]))
    return sum(-logits[i - 1].log_softmax(dim=0)[row["input_ids"][i]].item() for i in last)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_loss_of_a_completion_is_that_of_its_tokens_given_all_before(architecture):
    model = tiny_model(architecture)
    from hf_peft_compare.data.position_ids import count_positions_from_mask

    count_positions_from_mask(model)
    scores = score_completions(model, ROWS, pad_token_id=0, batch_size=3)
    for row, (nats, num_tokens) in zip(ROWS, scores, strict=True):
        assert num_tokens == row["num_completion_tokens"]
        assert nats == pytest.approx(written_out_nll(model, row), abs=1e-4)


def test_tokens_of_the_prompt_and_padding_do_not_weigh_in_the_loss():
    logits = torch.zeros(1, 4, 10)  # uniform: every token costs ln 10
    labels = torch.tensor([[-100, -100, 3, 4]])
    nats, num_tokens = completion_nll(logits, labels)
    assert num_tokens.item() == 2
    assert nats.item() == pytest.approx(2 * torch.tensor(10.0).log().item())
    logits[0, 0, 3] = 50  # predicts the unscored second column
    assert completion_nll(logits, labels)[0].item() == pytest.approx(nats.item())


# peft's prompt learning that prepends embeddings takes labels of all T columns only.
@pytest.mark.parametrize("row", [r for r in METHODS if r not in ("p_tuning", "peft_prompt_tuning")])
def test_the_lm_head_is_computed_only_where_there_are_labels(row, build):
    built = build(row)
    batch = CompletionCollator(pad_token_id=0)(ROWS)
    widths = []
    head = built.model.get_output_embeddings()
    head.register_forward_hook(lambda module, args, output: widths.append(output.shape[1]))
    output = built.model(**batch)
    assert output.logits.shape[1] == widths[0] == batch["labels"].shape[1] < batch["input_ids"].shape[1]


@pytest.mark.parametrize("row", METHODS)
def test_the_models_own_loss_is_the_mean_over_the_labelled_tokens(row, build):
    built = build(row)
    shake_trainables(built.model)
    with torch.no_grad():
        loss = built.model(**CompletionCollator(pad_token_id=0)(ROWS)).loss.item()
    nats, tokens = zip(*score_completions(built.model, ROWS, pad_token_id=0, batch_size=4), strict=True)
    assert loss == pytest.approx(sum(nats) / sum(tokens), abs=1e-4)


def test_generation_reads_the_prompt_alone_and_stops_at_the_end_of_text():
    model, tokenizer = tiny_model(), tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    head = model.lm_head.weight
    model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(head))  # every logit is 0 but for the hook below
    plan = iter([7, 8, tokenizer.eos_token_id, 9, 9, 9])

    def say_next(module, args, output):
        output[:, -1, next(plan)] = 1.0

    model.lm_head.register_forward_hook(say_next)
    generation = GenerationConfig(max_new_tokens=6)
    assert generate_tokens(model, tokenizer, [[5, 6]], generation=generation, batch_size=1) == [[7, 8]]


def test_texts_have_no_special_tokens(build):
    built = build("lora")
    texts = generate_texts(
        built.model,
        built.tokenizer,
        [row["input_ids"] for row in ROWS],
        generation=GenerationConfig(max_new_tokens=5),
        batch_size=2,
    )
    assert len(texts) == len(ROWS)
    assert not any("<|endoftext|>" in text for text in texts)


@pytest.mark.parametrize(
    ("setting", "check"),
    [
        ({"max_new_tokens": 3}, lambda tokens: len(tokens) <= 3),
        ({"max_new_tokens": 8, "min_new_tokens": 8}, lambda tokens: len(tokens) == 8),
        ({"max_new_tokens": 12, "no_repeat_ngram_size": 1}, lambda tokens: len(set(tokens)) == len(tokens)),
    ],
)
def test_generation_settings_reach_the_model(setting, check, build):
    built = build("full")
    prompts = [row["input_ids"] for row in ROWS]
    for tokens in generate_tokens(
        built.model, built.tokenizer, prompts, generation=GenerationConfig(**setting), batch_size=2
    ):
        assert check(tokens)


def test_beam_search_finds_a_likelier_text(build):
    built = build("full")
    prompts = [row["input_ids"] for row in ROWS]
    nats = {}
    for num_beams in (1, 4):
        generation = GenerationConfig(max_new_tokens=6, min_new_tokens=6, num_beams=num_beams)
        tokens = generate_tokens(built.model, built.tokenizer, prompts, generation=generation, batch_size=2)
        rows = [{"input_ids": p + t, "num_completion_tokens": 6} for p, t in zip(prompts, tokens, strict=True)]
        nats[num_beams] = sum(n for n, _ in score_completions(built.model, rows, pad_token_id=0, batch_size=2))
    assert nats[4] < nats[1]


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


def test_no_items_give_no_results():
    assert map_batches(lambda batch: batch, [], lengths=[], batch_size=4) == []


def test_every_metric_scores_every_example():
    scores = score_texts(["a b", "c"], ["a b", "d"], [get_metric("rouge"), get_metric("entity_recall")])
    assert scores["rouge1_fmeasure"] == [1.0, 0.0]
    assert scores["entity_recall"] == [1.0, 1.0]
