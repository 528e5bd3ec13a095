"""Trained parameters that cannot be read, or not whole, are one error that names the file; none stays random."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inference.loading import load_run

Break = Callable[[Path], object]


def drop_first(path: Path) -> None:
    """Write the file again without its first tensor."""
    save_file(dict(sorted(load_file(path).items())[1:]), path, metadata={"format": "pt"})


def set_field(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


ADAPTER, CONFIG, PLAIN = "adapter_model.safetensors", "adapter_config.json", "model.safetensors"
BROKEN: list[tuple[str, str, Break, str]] = [
    *((row, ADAPTER, cut, f"{ADAPTER} is damaged or cut short") for row in ("lora", "soft", "prefix")),
    ("lora", ADAPTER, lambda path: path.write_text("<html>"), f"{ADAPTER} is a web page"),
    ("lora", ADAPTER, drop_first, "missing adapter keys"),
    ("lora", CONFIG, lambda path: path.write_text("[]"), f"{CONFIG} is damaged"),
    ("lora", CONFIG, lambda path: path.write_text("{"), f"{CONFIG} is damaged"),
    ("lora", CONFIG, Path.unlink, "cannot be read"),
    ("lora", CONFIG, lambda path: set_field(path, peft_type="NOPE"), "cannot be read"),
    ("lora", CONFIG, lambda path: set_field(path, megatron_config={"a": 1}), "sets megatron_config, which imports a"),
    ("lora", CONFIG, lambda path: set_field(path, megatron_core="evil"), "sets megatron_core, which imports a module"),
    ("full", PLAIN, cut, f"{PLAIN} is damaged or cut short"),
    ("full", PLAIN, drop_first, "lacks tensors of GPT2LMHeadModel"),
    ("full", "config.json", lambda path: path.write_text("{"), "config.json is damaged"),
    ("last_layers", "trainables.safetensors", cut, "trainables.safetensors is damaged"),
    ("last_layers", "trainables.safetensors", drop_first, "differ in"),
]


@pytest.mark.parametrize(("row", "name", "break_it", "message"), BROKEN)
def test_a_broken_file_of_a_run_is_named(
    row: str, name: str, break_it: Break, message: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(runs[row], tmp_path / "run")
    break_it(folder / "model" / name)
    with pytest.raises(UserError, match=message):
        load_run(folder)


def test_a_study_cannot_make_peft_import_a_module(tiny_study) -> None:  # type: ignore[no-untyped-def]
    from hf_peft_compare.methods.peft_method import peft_config

    study = tiny_study(methods={"lora": {"peft_type": "LORA", "megatron_core": "evil", "method": "peft"}})
    config, _ = study.resolve(row="lora", seed=0)
    with pytest.raises(UserError, match="unknown setting of peft's LoraConfig 'megatron_core'"):
        peft_config(config.method_settings)
