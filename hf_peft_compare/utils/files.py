"""Atomic writes of files and folders, and file locks that are released when their process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_peft_compare.core.errors import UserError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or a folder, which is renamed to `path` when the block succeeds.

    A reader sees the complete old or the complete new one, even after a power failure; a block that fails leaves the
    old one. A folder can only replace an empty one, and a device is not replaced.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileExistsError(errno.EEXIST, "It is a device or a pipe, not a file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        temporary = Path(scratch) / path.name
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file atomically; a lone surrogate is written as \\udXXX, its escape in JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(folder: Path) -> None:
    """Create a folder, unless it exists, and raise UserError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: the name has a NUL
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write to {str(folder)!r}: {reason}. Choose another folder.") from None


@contextmanager
def lock_file(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file; the lock is released when the process ends, for whatever reason.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
        OSError: as `open_to_append`.
    """
    file = open_to_append(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(file)


def open_to_append(path: Path) -> int:
    """Open or create a file to append to and return its descriptor; its content is kept, and no link is followed.

    Raises:
        OSError: it cannot be opened, is a link, or no regular file.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file
