"""Bases in a GGUF file, the format of llama.cpp: config, weights and tokenizer in one, read and dequantized."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GgufConfig

from hf_peft_compare.config.protocol import EMBEDDED, StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.formatting import name_some
from hf_peft_compare.utils.hub_errors import explain
from hf_peft_compare.utils.model_files import what_it_is
from hf_peft_compare.utils.remote_code import load_auto

MAGIC = b"GGUF"
NUM_NAMED = 5  # files in an error


def model_path(config: StudyProtocol) -> str:
    """Return the Hub id or folder of the base model."""
    if config.model_name_or_path == EMBEDDED:
        from hf_peft_compare.quickstart import BASE_FOLDER

        return str(BASE_FOLDER)
    return config.model_name_or_path


def gguf_argument(config: StudyProtocol) -> dict[str, str]:
    """Return the argument by which transformers reads a base from its GGUF file; empty if it is in none.

    Raises:
        UserError: the package that reads such files is not installed, the file is not in the local folder or is
            something else, or the model is one and the study does not say so.
    """
    folder, name = Path(model_path(config)), config.gguf_file
    if name is None:
        _check_unnamed(folder)
        return {}
    if importlib.util.find_spec("gguf") is None:
        raise UserError(
            f'gguf_file {name} needs the package gguf, which is not installed; run pip install "hf_peft_compare[gguf]".'
        )
    if folder.is_dir():
        _check(folder, name)
    return {"gguf_file": name}


def load_config(config: StudyProtocol, **fields: object) -> Any:
    """Load the base's saved config, with other values of some fields.

    Raises:
        UserError: as `gguf_argument`; and whatever transformers raises of a config that it cannot read.
    """
    name, argument = model_path(config), gguf_argument(config)
    if not argument:
        return load_auto(AutoConfig.from_pretrained, name, revision=config.model_revision, **fields)
    path = Path(name, argument["gguf_file"])
    saved = _header(
        name, config.model_revision, argument["gguf_file"], path.stat().st_mtime_ns if path.is_file() else 0
    )
    return type(saved).from_dict(saved.to_dict(), **fields)


@lru_cache(maxsize=4)
def _header(name: str, revision: str | None, file: str, changed: int) -> Any:
    """Return the config in a GGUF file's header, whose vocabulary takes seconds to read."""
    return load_auto(AutoConfig.from_pretrained, name, revision=revision, gguf_file=file)


def dequantized(config: StudyProtocol) -> dict[str, Any]:
    """Return the arguments by which transformers loads a base's GGUF file as a model that trains and can be saved."""
    argument = gguf_argument(config)
    if not argument:
        return {}
    return {**argument, "quantization_config": GgufConfig(dequantize=True)}


def unreadable_base(config: StudyProtocol, error: Exception) -> UserError:
    """Return the error for a base that transformers cannot load."""
    path = Path(model_path(config), config.gguf_file or "")
    reason = explain("model", str(path) if config.gguf_file and path.is_file() else model_path(config), error)
    if config.gguf_file is None or "not supported yet" not in str(error):
        return UserError(reason)
    return UserError(f"{reason} Use the model in transformers' own format, or a newer transformers.")


def _check_unnamed(folder: Path) -> None:
    """Raise UserError if a local model is a GGUF file, or a folder with nothing but such files."""
    if folder.is_file() and folder.suffix == ".gguf":
        raise UserError(
            f"model_name_or_path {folder} is a file; set model_name_or_path to {folder.parent} and gguf_file to "
            f"{folder.name}."
        )
    if folder.is_dir() and not (folder / "config.json").exists() and (files := _files(folder)):
        raise UserError(f"model folder {folder} has GGUF files only; set gguf_file to one of {_names(files)}.")


def _check(folder: Path, name: str) -> None:
    path = folder / name
    if not path.is_file():
        files = _files(folder)
        has = f"it has {_names(files)}" if files else "it has no GGUF file"
        raise UserError(f"gguf_file {name} is not in model folder {folder}; {has}.")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            found = what_it_is(path) or f"something else: it does not begin with {MAGIC.decode()}"
            raise UserError(f"{path} is not a GGUF file but {found}.")


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.gguf"))


def _names(files: list[str]) -> str:
    return name_some(files, NUM_NAMED)
