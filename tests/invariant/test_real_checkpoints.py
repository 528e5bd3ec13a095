"""Every method on real pretrained weights: one step of training, an answer, and what must hold on tiny models holds."""

import os
from pathlib import Path

import pytest
import torch
from conversations import example_of, format_of_chats, messages, targets
from tiny import CLASSIFIERS, METHODS, shake_trainables

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.evaluation.scoring import score_classes, score_completions
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.records.run_folder import read_predictions

VARIABLE = "HF_PEFT_COMPARE_TEST_CHECKPOINTS"
ONE_STEP = ("training.max_steps=1", "training.train_batch_size=2", "num_train_samples=8", "num_validation_samples=2")
SCORED = (*ONE_STEP, "num_test_samples=3", "generation.max_new_tokens=4")
QUESTIONS = [
    "The capital of France is",
    "Rain fell on the north of the country for the third day, and",
    "Two and two are",
]


def checkpoint(name):
    """Return the folder of real weights; skip the test where it is not laid out."""
    folder = Path(os.environ.get(VARIABLE) or Path.home() / ".cache/hf_peft_compare/checkpoints") / name
    if not folder.is_dir():
        pytest.skip(f"no real checkpoint {name} below {VARIABLE} or ~/.cache/hf_peft_compare/checkpoints")
    return str(folder)


@pytest.fixture(scope="module")
def smollm2():
    return checkpoint("smollm2-135m-instruct")


@pytest.fixture(scope="module")
def minilm():
    return checkpoint("all-MiniLM-L6-v2")


def learned(record):
    return record.finished and record.initial_trainables_sha256 != record.final_trainables_sha256


@pytest.mark.parametrize("row", [row for row in METHODS if row != "dora"])
def test_a_chat_model_trains_a_step_and_writes_an_answer(row, train, smollm2, tmp_path):
    own = {"methods": {row: METHODS[row]}, "model_name_or_path": smollm2}
    record = train(row, *SCORED, folder="run", **own)
    assert learned(record)
    assert 0 < record.results["test_loss"] < 8  # far from a uniform choice of 49,152 tokens
    answers = [line["prediction"] for line in read_predictions(tmp_path / "run")]
    assert len(answers) == 3 and all(answers)


@pytest.mark.parametrize("row", [row for row in CLASSIFIERS if row not in ("dora", "last_layer_head")])
def test_an_encoder_trains_a_step_and_names_a_class(row, train, classifying, minilm, tmp_path):
    own = classifying | {"methods": {row: CLASSIFIERS[row]}, "model_name_or_path": minilm}
    record = train(row, *SCORED, folder="run", **own)
    assert learned(record)
    assert {line["prediction"] for line in read_predictions(tmp_path / "run")} <= {"lost", "unclear", "found"}


@pytest.fixture(params=["zero_shot", "prompt_tuning", "lora"])
def writing(request, build, smollm2):
    row = request.param
    built = build(row, methods={row: METHODS.get(row, {})}, model_name_or_path=smollm2)
    return built.tokenizer, shake_trainables(built.model)


def test_neither_padding_nor_batch_size_changes_a_loss_or_a_text(writing):
    tokenizer, model = writing
    prompts = [tokenizer(text)["input_ids"] for text in QUESTIONS]
    rows = [{"input_ids": ids, "num_completion_tokens": 2} for ids in prompts]
    options = {"pad_token_id": tokenizer.pad_token_id}
    alone, together = (score_completions(model, rows, **options, batch_size=size) for size in (1, 3))
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, abs=1e-3)
    generation = GenerationConfig(max_new_tokens=5)
    texts = [generate_tokens(model, tokenizer, prompts, generation=generation, batch_size=size) for size in (1, 3)]
    assert texts[0] == texts[1]


def test_the_untouched_model_knows_a_capital(build, smollm2):
    built = build("zero_shot", methods={"zero_shot": {}}, model_name_or_path=smollm2)
    prompt = [built.tokenizer(QUESTIONS[0])["input_ids"]]
    (tokens,) = generate_tokens(
        built.model, built.tokenizer, prompt, generation=GenerationConfig(max_new_tokens=3), batch_size=1
    )
    assert "Paris" in built.tokenizer.decode(tokens)


def test_a_cache_changes_no_token(writing):
    """Each token again from all before it, without a cache."""
    tokenizer, model = writing
    ids = tokenizer(QUESTIONS[1])["input_ids"]
    (cached,) = generate_tokens(model, tokenizer, [ids], generation=GenerationConfig(max_new_tokens=4), batch_size=1)
    written = []
    with torch.no_grad():
        while len(written) < len(cached):
            written.append(model(input_ids=torch.tensor([ids + written])).logits[0, -1].argmax().item())
    assert written == cached


def test_merging_changes_no_class(build, tiny_study, classifying, minilm):
    own = classifying | {"methods": {"lora": {"r": 4}}, "model_name_or_path": minilm}
    config, _ = tiny_study(**own).resolve(row="lora", seed=0)
    built = build("lora", **own)
    model, tokenizer = shake_trainables(built.model), built.tokenizer
    rows = [{"input_ids": tokenizer(text)["input_ids"], "label": 0} for text in QUESTIONS]
    collate = head_of(config).collator(tokenizer)
    before = score_classes(model, rows, collate=collate, batch_size=2)
    after = score_classes(config.method_type.merge(model).eval(), rows, collate=collate, batch_size=2)
    assert [nats for nats, *_ in before] == pytest.approx([nats for nats, *_ in after], abs=1e-3)


def test_a_conversation_is_read_as_the_models_own_template_has_it(tiny_study, smollm2):
    config, _ = tiny_study(model_name_or_path=smollm2, methods={"lora": {}}).resolve(row="lora", seed=0)
    tokenizer = load_tokenizer(config)
    turns = [("system", "Be brief."), ("user", "2 + 3?"), ("assistant", "5"), ("user", "Times 4?"), ("assistant", "20")]
    features = format_of_chats(config).encode(example_of(messages(*turns)), tokenizer, 200)
    whole = tokenizer.apply_chat_template(messages(*turns), tokenize=True)["input_ids"]
    assert features["input_ids"] == whole[:-1]  # the template ends with a line break
    assert tokenizer.decode(targets(features)) == "5<|im_end|>20<|im_end|>"
