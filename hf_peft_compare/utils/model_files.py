"""What is wrong with a file of a model folder; looked for once loading has failed. No pickle is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

FIRST_BYTES = 60  # of a file, which tell what it is instead
CONVERT = "Where you trust it, load the model and call save_pretrained, which writes safetensors."


def find_damage(folder: Path) -> str | None:
    """Return which file of a model folder cannot be read, and why; None: every file can."""
    for pattern, read in READERS.items():
        for path in sorted(folder.glob(pattern)):
            try:
                read(path)
            except Exception as error:  # each reader has its own
                return f"{path.name} is {what_it_is(path) or _unreadable(path, error)}"
    return None


def _read_json(path: Path) -> None:
    if not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
        raise ValueError("expected a JSON object")


def _read_header(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt"):
        pass


def _read_tensors(path: Path) -> None:
    import torch

    torch.load(path, map_location="meta", weights_only=True)


READERS: dict[str, Callable[[Path], None]] = {
    "config.json": _read_json,
    "adapter_config.json": _read_json,
    "generation_config.json": _read_json,
    "*.safetensors.index.json": _read_json,
    "tokenizer*.json": _read_json,
    "*.safetensors": _read_header,
    "pytorch_model*.bin": _read_tensors,
    "adapter_model.bin": _read_tensors,
}


def what_it_is(path: Path) -> str | None:
    """Return what a file is in place of a part of a model; None: something else."""
    with path.open("rb") as file:
        start = file.read(FIRST_BYTES)
    if not start.strip():
        return "empty"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS; fetch the file itself: git lfs pull"
    if start.lstrip().startswith(b"<"):
        return "a web page; download the file itself"
    if path.suffix != ".json" and start.isascii() and start.decode().isprintable():
        return f"a text that begins with {start.decode()!r}; download the file itself"
    return None


def _unreadable(path: Path, error: Exception) -> str:
    if path.suffix == ".bin":
        return f"a pickle that is damaged or holds more than tensors, which could run code; it was not read. {CONVERT}"
    return f"damaged or cut short ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
