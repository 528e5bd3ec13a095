"""Instruction tuning, from a folder of conversations to records: every kind of method, and what is refused first."""

import json

import pytest
from conversations import TEMPLATE, chat_tokenizer, write_conversations
from tiny import write_splits

from hf_peft_compare.cli.main import main
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.orchestration.input_examples import input_examples
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.testing import ARCHITECTURES
from hf_peft_compare.training.run import train_run

METRICS = ["numeric_answer", "exact_match", "rouge"]
METHODS = {
    "zero_shot": {},
    "asked": {"method": "zero_shot", "template": "Question: {prompt}"},
    "expert": {},
    "few_shot": {"shots": 2},
    "prompt_tuning": {"num_virtual_tokens": 4},
    "lora": {"r": 4},
    "packed": {"method": "lora", "r": 4, "training": {"packing": True}},
    "last_layer_head": {"method": "last_layers", "num_layers": 0},
    "loreft": {"r": 2},
    "full": {},
    "majority": {},
}


@pytest.fixture
def conversing(tmp_path, tiny_llama):
    """Keys of a study of conversations for `tiny_study` and `train`, of a model that has room for them."""
    return {
        "task": {"name": "instruction_tuning", "metrics": METRICS},
        "dataset": str(write_conversations(tmp_path / "sums")),
        "num_train_samples": None,
        "num_validation_samples": None,
        "num_test_samples": None,
        "model_name_or_path": str(tiny_llama),
        "init": "config",
        "architecture": {"max_position_embeddings": 1200},
        "max_length": 1100,
        "methods": METHODS,
        "training": {"max_steps": 2},
    }


@pytest.mark.parametrize("row", METHODS)
def test_every_kind_of_method_reads_conversations(row, train, conversing, tmp_path):
    record = train(row, folder="run", **conversing)
    assert record.finished
    assert [*record.scores][:3] == ["numeric_answer", "no_number", "exact_match"]
    assert ("test_loss" in record.results) == (row != "majority")
    lines = list(read_predictions(tmp_path / "run"))
    assert len(lines) == 6
    assert all(line["reference"].startswith("It is ") for line in lines)
    assert any("earlier" in line for line in lines)
    for line in lines:  # of the last answer alone
        assert row == "majority" or line["num_tokens"] < 30
    if record.initial_trainables_sha256:
        assert record.initial_trainables_sha256 != record.final_trainables_sha256
        assert "learned (1)" in record.provenance.example_input or "learned" in record.provenance.example_input


def test_the_examples_of_few_shot_are_whole_conversations(tiny_study, conversing, tmp_path):
    chat_tokenizer(TEMPLATE).save_pretrained(tmp_path / "chat")
    study = tiny_study(**{**conversing, "tokenizer_name_or_path": str(tmp_path / "chat")})
    config, _ = study.resolve(row="few_shot", seed=0)
    tokenizer, examples = load_tokenizer(config), load_examples(config)
    form = format_of(config, examples["train"])
    prompts = [tokenizer.decode(form.encode_prompt(example, tokenizer, 2000)) for example in examples["test"]]
    for example, prompt in zip(examples["test"], prompts, strict=True):
        earlier = example.earlier or ()
        own = sum(turn.role == "user" for turn in earlier) + 1
        assert prompt.count("<s>user\n") == own + sum(turn.role == "user" for turn in form.solved)
        assert prompt.count("<s>system\n") == (1 if earlier and earlier[0].role == "system" else 0)
        assert prompt.endswith(f"{example.source}<end>\n<s>assistant\n")
    assert len(form.solved) >= 4 and not any(turn.learned for turn in form.solved)


def test_the_example_that_is_shown_has_every_turn(tiny_study, conversing):
    study = tiny_study(**{**conversing, "methods": {"lora": {}, "zero_shot": {}}})
    shown = {rows[0]: example for rows, example in input_examples([c for c, _ in study.resolve_all()])}
    first = load_examples(study.config)["train"][0]
    num_turns = 1 + sum(turn.role == "assistant" for turn in first.earlier or ())
    learned = [text for part, text in shown["lora"].items() if part.startswith("learned")]
    assert len(learned) == num_turns and all(text.endswith("<|endoftext|>") for text in learned)
    assert [part for part in shown["zero_shot"]] == ["read", "scored"]


def test_completions_that_are_too_long_are_left_out_or_refused(tiny_study, conversing, tmp_path):
    rows = [{"prompt": f"What is {n}?", "completion": f"It is {n}."} for n in range(24)]
    rows[3]["completion"] = "It is 3. " * 200

    def tokenized(*overrides):
        write_splits(tmp_path / "sums", {"train": rows, "validation": rows[4:12], "test": rows[4:12]})
        config, _ = tiny_study("max_length=200", *overrides, **conversing).resolve(row="lora", seed=0)
        return tokenize_splits(config, load_examples(config), load_tokenizer(config))

    with pytest.raises(UserError, match=r"1 of 24 train rows \(4.2%\) do not fit, more than max_dropped_share"):
        tokenized()
    found = tokenized("max_dropped_share=0.1")
    assert found.num_dropped == {"train": 1}
    assert len(found.splits["train"]) == 23 and all(row["loss_mask"] for row in found.splits["train"])


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_broken_conversation_ends_a_command_before_anything_is_written(
    command, tiny_study, conversing, tmp_path, monkeypatch, capsys
):
    tiny_study(**conversing)
    with (tmp_path / "sums" / "validation.jsonl").open("a") as file:
        file.write(json.dumps({"messages": [{"role": "user", "content": "Hello?"}]}) + "\n")
    monkeypatch.chdir(tmp_path)
    assert main([command, "tiny.yaml"]) == 2
    message = capsys.readouterr().err
    assert "(user) has no assistant's turn" in message and "It begins 'Hello?'" in message
    assert not (tmp_path / "runs").exists() or not [*(tmp_path / "runs").rglob("record.json")]


@pytest.fixture
def run_small(tiny_llama, tmp_path):
    """`run_small(study, row, splits)`: the record of a row of a study of the package, with a model of two blocks."""

    def run(name, row, splits):
        sizes = {**ARCHITECTURES["llama"], "num_key_value_heads": 2, "max_position_embeddings": 2000}
        architecture = json.dumps({"model_type": "llama", **sizes})
        own = [f"dataset={write_splits(tmp_path / name, splits)}", "init=config", f"architecture={architecture}"]
        own += [f"tokenizer_name_or_path={tiny_llama}", "costs=false", "tune=null", "generation.max_new_tokens=4"]
        own += ["num_train_samples=12", "num_validation_samples=4", "num_test_samples=6"]
        study = load_study(name, [*own, "training.max_steps=1", "training.train_batch_size=4"])
        return train_run(*study.resolve(row=row, seed=0), folder=tmp_path / row)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("row", ["few_shot", "lora"])
def test_the_study_of_gsm8k_runs_on_rows_like_its_own(row, run_small):
    rows = [
        {"question": f"Ann has {n} owls. Two fly.", "answer": f"She has <<{n}-2={n - 2}>>{n - 2}.\n#### {n - 2}"}
        for n in range(2, 22)
    ]
    record = run_small("smollm2-gsm8k", row, {"train": rows, "test": rows[:6]})
    assert record.finished and 0 <= record.results["numeric_answer"] <= 1
    assert next(iter(record.scores)) == "numeric_answer"


@pytest.mark.slow
@pytest.mark.parametrize("row", ["one_shot", "lora"])
def test_the_study_of_squad_runs_on_rows_like_its_own(row, run_small, tmp_path):
    rows = [
        {
            "id": f"{n}",
            "title": f"Owls {n % 3}",
            "context": f"Ann saw {n} owls in Oslo.",
            "question": "Where were the owls?",
            "answers": {"text": ["Oslo", "in Oslo"], "answer_start": [15, 12]},
        }
        for n in range(20)
    ]
    record = run_small("smollm2-squad", row, {"train": rows, "validation": rows[:6]})
    assert record.finished and [*record.scores] == ["f1", "exact_match", "test_loss"]
    lines = list(read_predictions(tmp_path / row))
    assert lines[0]["references"] == ["Oslo", "in Oslo"] and lines[0]["cluster"].startswith("Owls")


def test_an_encoder_decoder_reads_no_conversations(conversing, tiny_t5, tiny_study):
    study = tiny_study(**{**conversing, "model_name_or_path": str(tiny_t5), "architecture": {}})
    with pytest.raises(UserError, match="is an encoder-decoder, .* are conversations; choose a base"):
        format_of(study.resolve(row="lora", seed=0)[0], [])
