"""Using finished runs: what a folder gives back, and that runs which share a base do not touch one another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from hf_peft_compare.config.schema import GenerationConfig, RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.evaluation.generation import generate_texts
from hf_peft_compare.inference import loading as finished_runs
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.inference.prediction import predict_texts, read_texts, text_columns
from hf_peft_compare.models.loading import load_base, load_tokenizer
from hf_peft_compare.records.record import RunRecord, write_record
from hf_peft_compare.records.run_folder import RECORD_FILE
from hf_peft_compare.training import factory

TEXTS = ["Rain fell on the north.", "A short one.", "The council met for the third time on Monday, and left at noon."]
METHODS: dict[str, dict[str, Any]] = {
    "soft": {"name": "prompt_tuning", "num_virtual_tokens": 4},
    "lora": {"name": "lora", "r": 2},
    "lora_bias": {"name": "lora", "r": 2, "bias": "all"},
    "lora_norm": {"name": "peft", "peft_type": "LORA", "r": 2, "modules_to_save": ["ln_f"]},
    "ia3": {"name": "peft", "peft_type": "IA3"},
    "p_tuning": {"name": "peft", "peft_type": "P_TUNING", "num_virtual_tokens": 3, "encoder_hidden_size": 8},
    "prefix": {"name": "peft", "peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3},
    "last_layers": {"name": "last_layers", "num_layers": 1},
    "full": {"name": "full"},
    "zero_shot": {"name": "zero_shot"},
    "lead": {"name": "lead", "num_sentences": 1},
}


def save_base(folder: Path) -> Path:
    """Save a model of two layers and a tokenizer of bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<eos>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    # Wide random weights, so that what is generated depends on all that was read.
    shape: dict[str, Any] = {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 128, "initializer_range": 0.4}
    GPT2LMHeadModel(GPT2Config(**shape, vocab_size=len(tokenizer))).save_pretrained(folder)
    return folder


def make_config(base: Path, row: str, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "study": "tiny",
        "row": row,
        "seed": 0,
        "task": {"name": "summarization", "prompt_suffix": " TL;DR:"},
        "method": METHODS[row],
        "dataset": "embedded",
        "model_name_or_path": str(base),
        "max_length": 64,
        "generation": GenerationConfig(max_new_tokens=12),
    }
    return RunConfig(**settings | changes)


def make_record(config: RunConfig, **changes: Any) -> RunRecord:
    method = get_method(config.method["name"])
    record: dict[str, Any] = {
        "status": "finished",
        "error": None,
        "study": config.study,
        "row": config.row,
        "method": method.name,
        "seed": config.seed,
        "config": asdict(config),
        "config_origins": {},
        "config_hash": config.hash,
        "card": {"title": method.title, **asdict(method.card)},
        "scores": {
            "rougeL_fmeasure": {"title": "ROUGE-L F", "unit": "ratio", "greater_is_better": True},
            "test_loss": {"title": "Test loss", "unit": "nats per token", "greater_is_better": False},
        },
        "parameters": {"trainable_params": 50, "total_params": 1000},
        "results": {"test_loss": 2.5, "rougeL_fmeasure": 0.25},
        "seconds": {"train": 12.0},
        "provenance": {"device": "CPU", "commit": "0123abc", "versions": {"torch": "2"}},
    }
    return RunRecord(**record | changes)


def make_run(folder: Path, config: RunConfig) -> Any:
    """Leave a finished run's folder, its trained parameters moved at random; gives the model that was saved."""
    method = get_method(config.method["name"])
    write_record(make_record(config), folder)
    if method.predict is not None:
        return None
    torch.manual_seed(config.seed)
    tokenizer, base = load_tokenizer(config), load_base(config)
    count_positions_from_mask(base)
    model = factory.apply_method(base, config, tokenizer)
    noise = torch.Generator().manual_seed(len(config.row))
    with torch.no_grad():
        for parameter in (p for p in model.parameters() if p.requires_grad):
            parameter += 0.3 * torch.randn(parameter.shape, generator=noise)
    if method.save is not None:
        method.save(model, folder / "model")
    return model.eval()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of every kind on one base, by row."""
    root = tmp_path_factory.mktemp("runs")
    base = save_base(root / "base")
    for row in METHODS:
        make_run(root / row, make_config(base, row))
    return {row: root / row for row in METHODS}


@pytest.fixture(scope="module")
def alone(runs: dict[str, Path]) -> dict[str, list[str]]:
    """What each run predicts when it is loaded alone."""
    return {row: [p["prediction"] for p in predict_texts([folder], TEXTS)] for row, folder in runs.items()}


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(**tokenizer(TEXTS[0], return_tensors="pt", return_token_type_ids=False)).logits


@pytest.mark.parametrize("row", [row for row in METHODS if row != "lead"])
def test_a_loaded_run_is_the_model_that_was_saved(row: str, runs: dict[str, Path], tmp_path: Path) -> None:
    trained = make_run(tmp_path, make_config(runs[row].parent / "base", row))
    loaded = load_run(tmp_path)
    assert not loaded.model.training
    assert (loaded.config.row, loaded.record.results["test_loss"]) == (row, 2.5)
    torch.testing.assert_close(logits(loaded.model, loaded.tokenizer), logits(trained, loaded.tokenizer))


@pytest.mark.parametrize("row", [row for row in METHODS if row != "lead"])
def test_padding_changes_no_prediction(row: str, runs: dict[str, Path], alone: dict[str, list[str]]) -> None:
    one_by_one = [p["prediction"] for p in predict_texts([runs[row]], TEXTS, batch_size=1)]
    assert one_by_one == alone[row]


@pytest.mark.parametrize("row", [row for row in METHODS if row != "lead"])
def test_padding_changes_no_logit_of_a_loaded_model(row: str, runs: dict[str, Path]) -> None:
    loaded = load_run(runs[row])
    encoded = loaded.tokenizer(TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        padded = loaded.model(**encoded).logits[0, -1]
    assert encoded["attention_mask"][0, 0] == 0  # the first text is padded, on the left
    torch.testing.assert_close(padded, logits(loaded.model, loaded.tokenizer)[0, -1], rtol=1e-3, atol=1e-3)


def test_predictions_are_what_evaluation_generates(runs: dict[str, Path], alone: dict[str, list[str]]) -> None:
    """Room for the prompt: 64 - 4 virtual - 12 generated = 48 tokens, 7 of them the suffix, so 41 bytes of text."""
    loaded = load_run(runs["soft"])
    prompts = [loaded.tokenizer(text[:41] + " TL;DR:")["input_ids"] for text in TEXTS]
    assert max(map(len, prompts)) == 48
    generation = loaded.config.generation
    wanted = generate_texts(loaded.model, loaded.tokenizer, prompts, generation=generation, batch_size=2)
    assert alone["soft"] == wanted


def test_runs_that_share_a_base_predict_as_if_alone(
    runs: dict[str, Path], alone: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def count_loads(config: RunConfig) -> Any:
        loads.append(config.row)
        return load_base(config)

    monkeypatch.setattr(finished_runs, "load_base", count_loads)
    order = ["lora", "soft", "ia3", "prefix", "lora_norm", "zero_shot", "lead", "p_tuning", "lora", "full"]
    order += ["lora_bias", "soft", "last_layers", "zero_shot"]
    predictions = list(predict_texts([runs[row] for row in order], TEXTS))
    for place, row in enumerate(order):
        rows = predictions[place * len(TEXTS) : (place + 1) * len(TEXTS)]
        assert [r["id"] for r in rows] == ["0", "1", "2"]
        assert {r["run"] for r in rows} == {f"tiny/{row}-seed0"}
        assert [r["prediction"] for r in rows] == alone[row], row
    # A trained norm, trained biases and last layers change the base itself: the run after each loads it anew.
    assert loads == ["lora", "zero_shot", "soft", "zero_shot"]


def test_every_method_predicts_something_of_its_own(alone: dict[str, list[str]]) -> None:
    assert len({tuple(predictions) for predictions in alone.values()}) == len(METHODS)
    assert alone["lead"][1] == "A short one."


def test_another_base_is_loaded_for_the_run_that_needs_it(
    runs: dict[str, Path], alone: dict[str, list[str]], tmp_path: Path
) -> None:
    """Random weights are those of the run's seed: another seed is another base."""
    untrained = {"init": "config", "architecture": {"initializer_range": 0.4}}
    for seed in (1, 2):
        make_run(tmp_path / str(seed), make_config(runs["lora"].parent / "base", "zero_shot", seed=seed, **untrained))
    folders = [runs["lora"], tmp_path / "1", tmp_path / "2", tmp_path / "1"]
    predicted = [p["prediction"] for p in predict_texts(folders, TEXTS)]
    lora, first, second, again = (predicted[i : i + 3] for i in range(0, 12, 3))
    assert lora == alone["lora"]
    assert first == again
    assert len({tuple(lora), tuple(first), tuple(second)}) == 3


def test_random_weights_of_a_base_are_those_it_was_trained_on(runs: dict[str, Path], tmp_path: Path) -> None:
    config = make_config(runs["lora"].parent / "base", "lora", seed=5, init="config")
    trained = make_run(tmp_path, config)
    state = torch.random.get_rng_state()
    loaded = load_run(tmp_path)
    torch.testing.assert_close(logits(loaded.model, loaded.tokenizer), logits(trained, loaded.tokenizer))
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's random numbers are left alone


def test_a_floor_has_no_model(runs: dict[str, Path]) -> None:
    loaded = load_run(runs["lead"])
    assert loaded.model is None and loaded.tokenizer is None
    assert loaded.record.method == "lead"


def test_a_failed_run_is_refused_with_its_error(runs: dict[str, Path], tmp_path: Path) -> None:
    config = make_config(runs["lora"].parent / "base", "lora")
    write_record(make_record(config, status="failed", error="the loss is nan"), tmp_path)
    with pytest.raises(UserError, match="the loss is nan"):
        load_run(tmp_path)


def test_a_run_without_its_parameters_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    write_record(make_record(make_config(runs["lora"].parent / "base", "lora")), tmp_path)
    with pytest.raises(UserError, match="tuned parameters"):
        load_run(tmp_path)


def test_nothing_is_loaded_while_something_is_wrong(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_runs, "load_base", lambda config: pytest.fail("loaded"))
    with pytest.raises(UserError, match=RECORD_FILE):
        predict_texts([runs["lora"], runs["lora"] / "nowhere"], TEXTS)
    with pytest.raises(UserError, match="text 2"):
        predict_texts([runs["lora"]], ["fine", "  "])
    with pytest.raises(UserError, match="no text"):
        predict_texts([runs["lora"]], [])


def test_the_column_of_texts_is_that_of_the_runs_dataset(runs: dict[str, Path]) -> None:
    assert text_columns(runs["lora"]) == ["article"]


def test_a_text_file_is_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One\n\ntwo ü.\n", encoding="utf-8")
    assert read_texts(tmp_path / "a.txt", ["article"]) == ["One\n\ntwo ü.\n"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_column_of_a_file_is_its_texts(suffix: str, tmp_path: Path) -> None:
    import pandas

    path = tmp_path / f"rows{suffix}"
    frame = pandas.DataFrame({"article": ['One, "quoted"', "two"], "number": [1, 2]})
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        getattr(frame, f"to_{suffix[1:]}")(path, index=False)
    assert read_texts(path, ["article"]) == ['One, "quoted"', "two"]
    with pytest.raises(UserError, match="article, number"):
        read_texts(path, ["document"])


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        read_texts(tmp_path / "missing.txt", ["article"])
    (tmp_path / "a.docx").touch()
    with pytest.raises(UserError, match=r"\.docx"):
        read_texts(tmp_path / "a.docx", ["article"])
    (tmp_path / "a.txt").write_bytes("ü".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        read_texts(tmp_path / "a.txt", ["article"])
    (tmp_path / "a.parquet").write_text("not parquet")
    with pytest.raises(UserError, match="cannot be read"):
        read_texts(tmp_path / "a.parquet", ["article"])
