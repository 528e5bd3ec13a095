"""What holds for causal LMs holds for encoder-decoders: padding, batches, micro-batches and caches change no score."""

import pytest
import torch
from tiny import WRITERS, known, shake_trainables, token_rows

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.collators import EncoderDecoderCollator
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.evaluation.scoring import score_candidates, score_completions

LENGTHS = (9, 40, 17, 25, 11, 33)
ROWS = token_rows(LENGTHS)
EVERY_METHOD = ["zero_shot", *WRITERS]


@pytest.fixture
def adapted(encoder_decoder, build):
    """`adapted(row)`: tokenizer and model with its trainables moved."""

    def make(row):
        built = build(row, encoder_decoder, methods={row: WRITERS.get(row, {})})
        return built.tokenizer, shake_trainables(built.model)

    return make


@torch.no_grad()
def nats(model, batch):
    """Nats of each labeled token, -log p(token | prompt and the tokens before it)."""
    logits, labels = model(**batch).logits.double(), batch["labels"]
    return -logits.log_softmax(dim=-1).gather(2, labels.clamp(min=0)[..., None])[..., 0][labels != -100]


@pytest.mark.parametrize("row", EVERY_METHOD)
def test_padding_changes_no_score_and_no_loss(row, adapted):
    _, model = adapted(row)
    batch = EncoderDecoderCollator(pad_token_id=0)(ROWS[:1])
    more = {"input_ids": ((0, 11), 0), "attention_mask": ((0, 11), 0), "labels": ((0, 5), -100)}
    padded = {name: torch.nn.functional.pad(batch[name], by, value=value) for name, (by, value) in more.items()}
    torch.testing.assert_close(nats(model, padded), nats(model, batch), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        losses = [model(**each).loss.item() for each in (batch, padded)]
    assert losses == pytest.approx([nats(model, batch).mean().item()] * 2, abs=1e-5)


@pytest.mark.parametrize("row", EVERY_METHOD)
def test_scores_and_texts_are_the_same_for_every_batch_size(row, adapted):
    tokenizer, model = adapted(row)
    prompts = [example["input_ids"] for example in ROWS]
    found = []
    for size in (1, 4):
        scores = score_completions(model, ROWS, pad_token_id=tokenizer.pad_token_id, batch_size=size)
        generation = GenerationConfig(max_new_tokens=6, min_new_tokens=6)  # a tiny T5 would often end at once
        found.append((scores, generate_tokens(model, tokenizer, prompts, generation=generation, batch_size=size)))
    (alone, texts), (together, same_texts) = found
    assert [n for _, n in alone] == [example["num_completion_tokens"] for example in ROWS]
    assert [n for n, _ in together] == pytest.approx([n for n, _ in alone], abs=1e-4)
    assert same_texts == texts
    assert all(texts)


@pytest.mark.parametrize("row", EVERY_METHOD)
def test_an_answer_is_as_likely_whether_the_encoder_reads_its_prompt_once_for_all_or_for_it_alone(row, adapted):
    tokenizer, model = adapted(row)
    prompts = [ROWS[0]["input_ids"]] * 3 + [ROWS[2]["input_ids"]] * 2 + [ROWS[2]["input_ids"][:12]]
    answers = [[11, 0], [12, 0], [11, 13, 0]] * 2
    rows = [{"input_ids": [*p, *a], "num_completion_tokens": len(a)} for p, a in zip(prompts, answers, strict=True)]
    shared = score_candidates(model, rows, 3, pad_token_id=tokenizer.pad_token_id, batch_size=2)
    alone = score_completions(model, rows, pad_token_id=tokenizer.pad_token_id, batch_size=1)
    assert [n for _, n in shared] == [n for _, n in alone] == [2, 2, 3] * 2
    assert [nats for nats, _ in shared] == pytest.approx([nats for nats, _ in alone], abs=1e-4)


def test_the_encoder_reads_a_prompt_once_for_all_answers(adapted):
    _, model = adapted("lora")
    read = []
    model.get_base_model().get_encoder().register_forward_pre_hook(lambda module, args: read.append(1))
    rows = [{"input_ids": [5, 6, 7, answer, 0], "num_completion_tokens": 2} for answer in (8, 9, 10)]
    score_candidates(model, rows, 3, pad_token_id=0, batch_size=3)
    assert len(read) == 1


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("row", ["prompt_tuning", "lora"])
def test_a_static_cache_gives_the_same_text(row, num_beams, adapted):
    tokenizer, model = adapted(row)
    prompts = [example["input_ids"] for example in ROWS]

    def generate(cache):
        generation = GenerationConfig(max_new_tokens=8, num_beams=num_beams, cache_implementation=cache)
        return generate_tokens(model, tokenizer, prompts, generation=generation, batch_size=3)

    assert generate("static") == generate("dynamic")


@pytest.mark.parametrize("row", ["prompt_tuning", "last_layers", "full"])
def test_eight_times_one_equals_two_times_four(row, encoder_decoder, train):
    settings = (encoder_decoder, "training.num_train_epochs=1", "training.learning_rate=0.01")
    settings += ("architecture={dropout: 0.0}",) if "bart" in encoder_decoder else ()  # the tiny T5 has none
    whole = train(row, *settings, folder="8x1")
    split = train(row, *settings, "training.gradient_accumulation_steps=4", folder="2x4")
    assert len(whole.history) == 4
    for one, other in zip(whole.history, split.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-5, rel=1e-5)
    assert whole.history[0].loss != pytest.approx(whole.history[1].loss, abs=1e-3)


def test_a_run_says_what_an_encoder_decoder_does_without(tiny_t5, train):
    settings = ("training.packing=true", "training.trunk_cache=true", "costs=true", "training.num_train_epochs=1")
    record = train("last_layers", f"model_name_or_path={tiny_t5}", *settings)
    notes = " ".join(record.notes)
    assert "Texts were not packed: an encoder-decoder reads one prompt per row" in notes
    assert "No states were cached" in notes
    assert record.costs.outside_loss != record.costs.untouched_outside_loss
    assert record.costs.notes == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("task={name: sequence_classification, labels: [lost, found]}",), "answers by writing"),
        (("prompt_format=chat",), "has no chat template"),
    ],
)
def test_what_does_not_suit_an_encoder_decoder_is_one_error(overrides, message, tiny_t5, build):
    with pytest.raises(UserError, match=message):
        build("lora", f"model_name_or_path={tiny_t5}", *overrides)
