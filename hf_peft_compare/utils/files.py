"""Files and folders that appear whole or not at all, and locks that go with their process."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path to write a file or a folder to, which becomes `path` when the block ends well.

    A reader sees the old one or the new one, whole, whenever the power goes; a block that fails leaves the old one. A
    folder can only take the place of an empty one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        temporary = Path(scratch) / path.name
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; a lone surrogate is written as \\udXXX, which is what JSON calls it."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def lock_file(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file; the lock goes with the process, however it ends.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
    """
    with path.open("a") as file:  # a file that is not ours keeps its content
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
