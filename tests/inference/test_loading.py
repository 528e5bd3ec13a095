"""Using finished runs: what a folder gives back, and that runs which share a base do not touch one another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from finished_runs import METHODS, TEXTS, logits, make_config, make_record, make_run

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.evaluation.generation import decode, generate_tokens
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.records.record import write_record
from hf_peft_compare.records.run_folder import DamagedRun


@pytest.mark.parametrize("row", [row for row in METHODS if row != "lead"])
def test_a_loaded_run_is_the_model_that_was_saved(row: str, runs: dict[str, Path], tmp_path: Path) -> None:
    trained = make_run(tmp_path, make_config(runs[row].parent / "base", row))
    loaded = load_run(tmp_path)
    assert not loaded.model.training
    assert (loaded.config.row, loaded.record.results["test_loss"]) == (row, 2.5)
    torch.testing.assert_close(logits(loaded.model, loaded.tokenizer), logits(trained, loaded.tokenizer))


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
    wanted = generate_tokens(loaded.model, loaded.tokenizer, prompts, generation=generation, batch_size=2)
    assert alone["soft"] == decode(loaded.tokenizer, wanted)


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
    with pytest.raises(UserError, match="trained parameters"):
        load_run(tmp_path)


@pytest.mark.parametrize("row", ["lora", "soft", "last_layers"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "missing"])
def test_damaged_parameters_are_one_error_that_names_the_file(
    row: str, damage: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    for name in (path.name for path in (runs[row] / "model").iterdir() if path.suffix in (".json", ".safetensors")):
        folder = tmp_path / name
        shutil.copytree(runs[row], folder)
        path = folder / "model" / name
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-20] if damage == "truncated" else b"<html>")
        with pytest.raises(DamagedRun, match=f"{folder}/model.* run the study again") as caught:
            load_run(folder)
        assert name in str(caught.value) or damage == "missing"
