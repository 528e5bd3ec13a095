"""The tree of a dry run is whole, holds no text of the data, and nothing that should stay private."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from finished_runs import make_config, save_base
from hub_stand_in import HOST, SECRET_TEXT, finish
from huggingface_hub import parse_eval_result_entries

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.publishing.leaks import USER, check_leaks
from hf_peft_compare.publishing.publish import Publication
from hf_peft_compare.publishing.repositories import PublishOptions, Repository
from hf_peft_compare.publishing.tree import _write_eval_results, _write_model, best_seed, source_of, write_tree
from hf_peft_compare.records.record import read_record
from hf_peft_compare.results.result import Result

RECORDS = ["full-seed0", "lora-seed0", "lora-seed1", "soft-seed0", "zero_shot-seed0"]
ADAPTER = {"README.md", "adapter_config.json", "adapter_model.safetensors", "hf_peft_compare.json"}


def test_every_repository_is_whole(published: Publication) -> None:
    found = {
        (each.kind, each.repo_id): set(files)
        for each, files in zip(published.repositories, published.contents, strict=True)
    }
    assert list(found) == [
        *(("model", f"anna/tiny-{row}") for row in ("lora", "soft", "full")),
        ("dataset", "anna/tiny"),
        ("space", "anna/tiny"),
    ]
    assert found["dataset", "anna/tiny"] == {
        *("README.md", "results.csv", "results.json", "records/study.yaml", "hf_peft_compare.json"),
        *(f"records/{run}/record.json" for run in RECORDS),
    }
    assert found["space", "anna/tiny"] == {"README.md", "index.html", "hf_peft_compare.json"}
    assert found["model", "anna/tiny-lora"] > ADAPTER and found["model", "anna/tiny-soft"] > ADAPTER
    assert {"model.safetensors", "config.json", "tokenizer.json"} < found["model", "anna/tiny-full"]


def test_no_text_of_the_data_no_host_and_no_path_is_in_it(tree: Path, study: Path) -> None:
    private = [SECRET_TEXT, HOST, str(study.parents[1])]
    for path in (path for path in tree.rglob("*") if path.is_file()):
        assert not any(text.encode() in path.read_bytes() for text in private), path
    page = (tree / "spaces/anna/tiny/index.html").read_text()
    assert 'id="verdict"' in page and 'id="examples"' not in page
    assert json.loads((tree / "models/anna/tiny-lora/adapter_config.json").read_text())["base_model_name_or_path"] == (
        "anna/small-gpt2"
    )


def test_records_read_again_are_those_of_the_study(tree: Path, study: Path) -> None:
    for run in RECORDS:
        ours, theirs = read_record(study / run), read_record(tree / "datasets/anna/tiny/records" / run)
        assert (theirs.results, theirs.seconds, theirs.config_hash) == (ours.results, ours.seconds, ours.config_hash)


def test_with_predictions_the_page_has_examples(study: Path, options: PublishOptions, tmp_path: Path) -> None:
    wanted = replace(options, rows=(), with_predictions=True)
    records, space = write_tree(source_of(Result.read(study), wanted, {}), wanted, tmp_path)
    assert SECRET_TEXT in (records.folder / "records/lora-seed0/predictions.jsonl").read_text()
    assert 'id="examples"' in (space.folder / "index.html").read_text()
    assert "predictions.jsonl" in (records.folder / "README.md").read_text()


def test_the_seed_is_chosen_by_validation_not_by_test(study: Path) -> None:
    result = Result.read(study)
    assert best_seed(result["lora"].row) == 1
    better = replace(result.records["lora-seed0"], results={"rougeL_fmeasure": 0.9, "test_loss": 0.1})
    records = {**result.records, "lora-seed0": better}
    assert best_seed(replace(result, records=records, predictions={})["lora"].row) == 1


def test_a_row_that_is_named_twice_is_published_once(
    study: Path, options: PublishOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def note(source: object, options: object, row: str, tree: Path) -> Repository:
        made.append(row)
        (tree / row).mkdir(parents=True)
        return Repository(kind="model", repo_id=row, folder=tree / row)

    monkeypatch.setattr("hf_peft_compare.publishing.tree._write_model", note)
    wanted = replace(options, rows=["lora", "full", "lora"])
    write_tree(source_of(Result.read(study), wanted, {}), wanted, tmp_path)
    assert made == ["lora", "full"]


def merged(study: Path, options: PublishOptions, tmp_path: Path, row: str) -> Repository:
    wanted = replace(options, rows=[row], merge=True)
    return _write_model(source_of(Result.read(study), wanted, {}), wanted, row, tmp_path)


def test_what_can_be_merged_is_and_what_cannot_says_so(study: Path, options: PublishOptions, tmp_path: Path) -> None:
    lora = merged(study, options, tmp_path / "a", "lora")
    assert "model.safetensors" in lora.files and "adapter_config.json" not in lora.files and lora.note == ""
    soft = merged(study, options, tmp_path / "b", "soft")
    assert "adapter_config.json" in soft.files and "cannot be merged into its base" in soft.note
    assert soft.note in (soft.folder / "README.md").read_text()


def test_a_redacted_model_has_the_vocabulary_of_its_base(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    known = json.loads((base / "tokenizer.json").read_text())
    tokens = ["/usr/lib/x", "annalena", *list(known["model"]["vocab"])[2:]]
    known["model"]["vocab"] = {token: number for number, token in enumerate(tokens)}
    (base / "tokenizer.json").write_text(json.dumps(known))
    finish(make_config(base, "lora"), tmp_path / "tiny/lora-seed0", 1.0)
    wanted, names = PublishOptions(to="anna/tiny", rows=["lora"], redact=True), {"annalena": USER}
    model = _write_model(source_of(Result.read(tmp_path / "tiny"), wanted, names), wanted, "lora", tmp_path / "tree")
    found = json.loads((model.folder / "tokenizer.json").read_text())
    assert found["model"]["vocab"] == known["model"]["vocab"]
    check_leaks(tmp_path / "tree", names)


def test_the_code_for_a_local_base_is_that_of_its_kind(tiny_t5: Path, tmp_path: Path) -> None:
    """The name that it has on the Hub says nothing about it before it is there."""
    finish(make_config(tiny_t5, "lora", max_length=96), tmp_path / "tiny/lora-seed0", 1.0)
    wanted = PublishOptions(to="anna/tiny", rows=["lora"], hub_ids={str(tiny_t5): "anna/small-t5"})
    model = _write_model(source_of(Result.read(tmp_path / "tiny"), wanted, {}), wanted, "lora", tmp_path / "tree")
    card = (model.folder / "README.md").read_text()
    assert 'AutoModelForSeq2SeqLM.from_pretrained("anna/small-t5")' in card and "decode(output[0]," in card
    assert str(tiny_t5) not in card


def test_a_benchmarks_score_is_written_in_the_hubs_form(study: Path, base: Path, tmp_path: Path) -> None:
    result = Result.read(study)
    options = PublishOptions(to="anna/tiny", rows=["lora"], benchmark_task="default")
    config = replace(make_config(base, "lora"), dataset="openai/gsm8k", dataset_revision="a" * 40)
    source = source_of(result, options, {})
    _write_eval_results(source, result.records["lora-seed1"], config, options, tmp_path)
    (entry,) = parse_eval_result_entries(yaml.safe_load((tmp_path / ".eval_results/tiny.yaml").read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("openai/gsm8k", "default", 0.25)
    assert entry.dataset_revision == "a" * 40 and entry.source_url == "https://huggingface.co/datasets/anna/tiny"
    for wrong, message in (
        (replace(config, dataset="embedded"), "none of the Hub"),
        (replace(config, num_test_samples=9), "whole split"),
    ):
        with pytest.raises(UserError, match=message):
            _write_eval_results(source, result.records["lora-seed1"], wrong, options, tmp_path)
