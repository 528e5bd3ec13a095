"""Exports load with nothing but peft and transformers, give the same logits, and are whole or not there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_runs import TEXTS, logits, make_config, make_run, save_base
from huggingface_hub import ModelCard
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inference import export as exporting
from hf_peft_compare.inference.export import export_run
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.records.run_folder import DamagedRun

ROWS = ("soft", "lora", "ia3", "last_layers", "full", "zero_shot", "lead")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of every kind that is exported in another way, and two that cannot be."""
    root = tmp_path_factory.mktemp("runs")
    base = save_base(root / "base")
    for row in ROWS:
        make_run(root / row, make_config(base, row))
    return {row: root / row for row in ROWS}


def wanted_logits(runs: dict[str, Path], row: str) -> torch.Tensor:
    loaded = load_run(runs[row])
    return logits(loaded.model, loaded.tokenizer)


@pytest.mark.parametrize("row", ["soft", "lora", "ia3"])
def test_an_adapter_loads_in_peft_with_the_same_logits(row: str, runs: dict[str, Path], tmp_path: Path) -> None:
    target = export_run(runs[row], tmp_path / "adapter", merge=False)
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "README.md"} <= {
        file.name for file in target.iterdir()
    }
    base = AutoModelForCausalLM.from_pretrained(runs[row].parent / "base")
    model = PeftModel.from_pretrained(base, target).eval()
    exported = logits(model, AutoTokenizer.from_pretrained(target))
    wanted = wanted_logits(runs, row)
    torch.testing.assert_close(exported[:, -wanted.shape[1] :], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("row", "merge"), [("lora", True), ("ia3", True), ("last_layers", False), ("full", True)])
def test_a_plain_model_loads_in_transformers_with_the_same_logits(
    row: str, merge: bool, runs: dict[str, Path], tmp_path: Path
) -> None:
    target = export_run(runs[row], tmp_path / "plain", merge=merge)
    assert not (target / "adapter_config.json").exists()
    model = AutoModelForCausalLM.from_pretrained(target).eval()
    exported = logits(model, AutoTokenizer.from_pretrained(target))
    torch.testing.assert_close(exported, wanted_logits(runs, row), rtol=1e-4, atol=1e-4)


LOAD = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model, tokenizer = (kind.from_pretrained(sys.argv[1]) for kind in (AutoModelForCausalLM, AutoTokenizer))
embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
assert not torch.equal(embedding, head), "the head was tied again"
torch.save(model(**tokenizer(sys.argv[2], return_tensors="pt", return_token_type_ids=False)).logits, sys.argv[3])
"""


def test_a_head_that_was_untied_stays_so_in_another_process(runs: dict[str, Path], tmp_path: Path) -> None:
    target = export_run(runs["last_layers"], tmp_path / "plain", merge=True)
    command = [sys.executable, "-c", LOAD, str(target), TEXTS[0], str(tmp_path / "logits.pt")]
    subprocess.run(command, check=True, timeout=120)
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), wanted_logits(runs, "last_layers"))


def test_the_run_itself_is_left_as_it_was(runs: dict[str, Path], tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in runs["lora"].rglob("*") if file.is_file()}
    export_run(runs["lora"], tmp_path / "plain", merge=True)
    assert before == {file: file.read_bytes() for file in runs["lora"].rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("row", "merge", "message"),
    [
        ("zero_shot", False, "nothing to export"),
        ("lead", False, "nothing to export"),
        ("soft", True, "cannot be merged"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(
    row: str, merge: bool, message: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        export_run(runs[row], tmp_path / "deep" / "target", merge=merge)
    assert not any(tmp_path.iterdir())


def test_a_peft_type_that_cannot_be_merged_leaves_nothing(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, make_config(runs["lora"].parent / "base", "prefix"))
    with pytest.raises(UserError, match="PREFIX_TUNING cannot be merged"):
        export_run(run, tmp_path / "target", merge=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_adapter_without_its_config_is_one_error_that_names_it(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(runs["soft"], tmp_path / "run")
    (tmp_path / "run" / "model" / "adapter_config.json").unlink()
    with pytest.raises(DamagedRun, match=f"{tmp_path}/run/model/adapter_config.json is missing"):
        export_run(tmp_path / "run", tmp_path / "target", merge=False)
    assert not (tmp_path / "target").exists()


def test_a_method_with_a_form_of_its_own_is_said_to_have_one(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, make_config(runs["lora"].parent / "base", "lora", method={"name": "loreft"}))
    with pytest.raises(UserError, match="LoReFT is saved in a form of its own"):
        export_run(run, tmp_path / "target", merge=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_target_must_be_new_or_empty(runs: dict[str, Path], tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="already exists"):
        export_run(runs["lora"], taken, merge=False)
    assert [file.name for file in taken.iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    assert (export_run(runs["lora"], tmp_path / "empty", merge=False) / "README.md").is_file()


def test_an_export_that_fails_half_way_leaves_nothing(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(exporting, "model_card", fail)  # the last file that is written
    with pytest.raises(OSError, match="no space"):
        export_run(runs["lora"], tmp_path / "target", merge=False)
    assert not any(tmp_path.iterdir())


def python_of(card: Any) -> str:
    return card.text.split("```python\n")[1].split("```")[0]


@pytest.mark.parametrize("plain", [True, False])
def test_the_lines_that_load_it_do_load_it(plain: bool, runs: dict[str, Path], tmp_path: Path) -> None:
    target = export_run(runs["lora"], tmp_path / "export", merge=plain)
    code = python_of(ModelCard.load(target / "README.md")).replace('"export"', repr(str(target)))
    names: dict[str, Any] = {}
    exec(code, names)
    exported = logits(names["model"].eval(), names["tokenizer"])
    torch.testing.assert_close(exported, wanted_logits(runs, "lora"), rtol=1e-4, atol=1e-4)


class StubApi:
    """Stands in for the hub, and keeps what it was told."""

    calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create", {"repo_id": repo_id, **options}))

    def upload_folder(self, **options: Any) -> None:
        self.calls.append(("upload", options))


def test_pushing_uploads_the_whole_folder(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_stub")
    monkeypatch.setattr("huggingface_hub.HfApi", StubApi)
    monkeypatch.setattr(StubApi, "calls", [])
    target = export_run(runs["lora"], tmp_path / "export", merge=False, push_to_hub="me/tiny")
    (created, repo), (uploaded, upload) = StubApi.calls
    assert (created, repo) == ("create", {"repo_id": "me/tiny", "exist_ok": True})
    assert (uploaded, upload["repo_id"], upload["folder_path"]) == ("upload", "me/tiny", str(target))
    assert '"me/tiny"' in python_of(ModelCard.load(target / "README.md"))


def test_a_push_that_fails_keeps_the_export_and_says_how_to_go_on(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, **_: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_stub")
    monkeypatch.setattr("huggingface_hub.HfApi", StubApi)
    monkeypatch.setattr(StubApi, "upload_folder", refuse)
    with pytest.raises(UserError, match="hf upload me/tiny"):
        export_run(runs["lora"], tmp_path / "export", merge=False, push_to_hub="me/tiny")
    assert (tmp_path / "export" / "adapter_model.safetensors").is_file()


def test_a_push_that_cannot_work_writes_nothing(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="hf auth login"):
        export_run(runs["lora"], tmp_path / "export", merge=False, push_to_hub="me/tiny")
    with pytest.raises(UserError, match="user/name"):
        export_run(runs["lora"], tmp_path / "export", merge=False, push_to_hub="tiny")
    assert not any(tmp_path.iterdir())
