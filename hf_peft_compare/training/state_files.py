"""The files of the frozen trunk's states: allocated, read, removed to make room."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.files import lock_file

STATES_FILE, META_FILE = "states.bin", "meta.json"


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What a cache says of itself; `seconds` is how long filling it took."""

    dtype: str
    width: int
    num_states: int
    seconds: float
    filled_by: str

    @property
    def num_bytes(self) -> int:
        """The size of the states."""
        return self.num_states * self.width * getattr(torch, self.dtype).itemsize


def allocate(folder: Path, num_bytes: int) -> None:
    """Make a folder with a states file of its full size, so that a full disk is found before anything is computed.

    Raises:
        UserError: no room, or no right to write.
    """
    try:
        folder.mkdir(parents=True)
        with (folder / STATES_FILE).open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)  # a file with holes would fail when they are written
            else:
                file.truncate(num_bytes)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(refusal(folder.parent, num_bytes, error)) from None


def refusal(root: Path, num_bytes: int, error: OSError) -> str:
    return (
        f"the frozen trunk's states ({num_bytes / 1e9:.3g} GB) cannot be kept in {root}: {error.strerror}. Make room, "
        f"choose another --output-dir, or go on without keeping them: --set training.trunk_cache=false"
    )


def make_room(root: Path, max_bytes: int) -> None:
    """Remove the caches unused for longest until all together take at most so many bytes."""
    whole = [path for path in root.glob(f"[!.]*/{META_FILE}") if is_whole(path.parent)]
    newest_first = sorted(whole, key=lambda path: -path.stat().st_mtime)
    sizes = accumulate(read_meta(path.parent).num_bytes for path in newest_first)
    for path, total in zip(newest_first, sizes, strict=True):
        if total > max_bytes:
            shutil.rmtree(path.parent)


def is_whole(folder: Path) -> bool:
    try:
        return (folder / STATES_FILE).stat().st_size == read_meta(folder).num_bytes
    except (OSError, ValueError, TypeError):
        return False


def read_meta(folder: Path) -> Meta:
    return Meta(**json.loads((folder / META_FILE).read_text()))


def map_states(path: Path, meta: Meta, *, shared: bool) -> Tensor:
    """Map the states [number of states, H] into memory; shared: what is written to them is written to the file."""
    num_values = meta.num_states * meta.width
    flat = torch.from_file(str(path), shared=shared, size=num_values, dtype=getattr(torch, meta.dtype))
    return flat.view(meta.num_states, meta.width)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Let one run at a time look for, fill and remove caches; others wait."""
    with contextlib.ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock_file(root / ".lock", wait=True))
        except OSError as error:
            raise UserError(refusal(root, 0, error)) from None
        yield
