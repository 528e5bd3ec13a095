"""The files of the frozen trunk's states: allocate, read, and remove them to free space."""

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
from hf_peft_compare.records.run_folder import OWNER_FILE
from hf_peft_compare.utils.ownership import owned

STATES_FILE, META_FILE = "states.bin", "meta.json"


@dataclass(frozen=True, kw_only=True)
class Meta:
    """The metadata of a cache; `seconds` is how long filling it took."""

    dtype: str
    width: int
    num_states: int
    seconds: float
    filled_by: str

    @property
    def num_bytes(self) -> int:
        """The size of the states in bytes."""
        return self.num_states * self.width * getattr(torch, self.dtype).itemsize


def allocate(folder: Path, num_bytes: int) -> None:
    """Create a folder with a states file of full size, so that a full disk is detected before anything is computed.

    Raises:
        UserError: no disk space, or no permission to write.
    """
    try:
        folder.mkdir(parents=True)
        with (folder / STATES_FILE).open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)  # a sparse file would fail when written
            else:
                file.truncate(num_bytes)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(refusal(folder.parent, num_bytes, error)) from None


def refusal(root: Path, num_bytes: int, error: OSError) -> str:
    return (
        f"the frozen trunk's states ({num_bytes / 1e9:.3g} GB) cannot be cached in {root}: {error.strerror}. Free disk "
        f"space, choose another --output-dir, or disable the cache: --set training.trunk_cache=false"
    )


def make_room(root: Path, max_bytes: int) -> None:
    """Remove the least recently used caches until all together take at most `max_bytes`."""
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
    """Map the states [number of states, H] into memory; if shared, writes to them go to the file."""
    num_values = meta.num_states * meta.width
    flat = torch.from_file(str(path), shared=shared, size=num_values, dtype=getattr(torch, meta.dtype))
    return flat.view(meta.num_states, meta.width)


@contextlib.contextmanager
def owned_in_turn(root: Path) -> Iterator[None]:
    """Own the caches: one run at a time, of whichever machine, looks up, fills and removes caches; others wait."""
    with contextlib.ExitStack() as stack:
        try:
            root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(owned(root / OWNER_FILE, wait=True))
        except OSError as error:
            raise UserError(refusal(root, 0, error)) from None
        yield
