"""A study's folder: locked by one process; old runs are moved, never deleted."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.files import lock_file

SUPERSEDED = "superseded"


def supersede(folder: Path) -> Path:
    """Move a run with another config out of the way and keep it; return its new folder."""
    for number in range(1, sys.maxsize):
        target = folder.parent / SUPERSEDED / f"{folder.name}-{number}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            return folder.rename(target)
    raise AssertionError


def check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}. Choose another --output-dir.") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a study's folder; raise UserError if another process holds the lock, which ends with its process."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock_file(folder / ".lock", wait=False))
        except BlockingIOError:
            raise UserError(
                f"another process is running this study in {folder}; wait for it, or choose another --output-dir."
            ) from None
        yield
