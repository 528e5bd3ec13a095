"""Atomic writes of files and folders."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from hf_peft_compare.core.errors import UserError

PARTIAL = ".partial"  # ends the hidden names of what is being written
A_DAY = 86_400  # seconds
FULL = 1 << 16  # free bytes; a writer that fails may not say why


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or a folder, which is renamed to `path` when the block succeeds.

    A reader sees the complete old or the complete new one, even after a power failure; a block that fails leaves the
    old one. A folder can only replace an empty one, and a device is not replaced. Whatever wrote them, files get the
    permissions of the umask.

    Raises:
        OSError: such as a full disk; it names the path.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileExistsError(errno.EEXIST, "It is a device or a pipe, not a file", str(path))
    with _scratch_folder(path) as scratch:
        temporary = scratch / path.name
        try:
            yield temporary
            _set_modes(temporary, scratch.stat().st_mode)
            flush_to_disk(temporary)
        except OSError as error:
            if error.errno and not error.filename:
                error.filename = str(path)
            raise
        os.replace(temporary, path)


@contextmanager
def atomic_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, whose files all replace those of the same names in `folder` when the block succeeds.

    Other files in `folder` stay. A block that fails, or a full disk, leaves every old one.
    """
    with _scratch_folder(folder / "files") as scratch:
        yield scratch
        flush_to_disk(scratch)
        files = [path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file()]
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            os.replace(scratch / file, folder / file)


def flush_to_disk(path: Path) -> None:
    """Return once the content of a file, or of every file in a folder, is on the disk."""
    for found in (path, *path.rglob("*")):
        if found.is_file():
            with found.open("r+b" if os.name == "nt" else "rb") as file:  # Windows flushes only what can be written to
                os.fsync(file.fileno())


def describe_full_disk(path: Path, error: Exception) -> str:
    """Return what to add to the message of an error that is due to a full disk; empty: it is not."""
    if os.strerror(errno.ENOSPC) in str(error) or (path.is_dir() and shutil.disk_usage(path).free < FULL):
        return f"; the disk of {path} is full: free some space, then run the same command again"
    return ""


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing into a folder or its subfolders."""
    for partial in list(folder.rglob(f".*{PARTIAL}")):
        with contextlib.suppress(OSError):
            if not _is_being_written(partial):
                shutil.rmtree(partial) if partial.is_dir() else partial.unlink()


def _is_being_written(partial: Path) -> bool:
    """Whether the process that a name ends with may live: one of this host is asked, others write for a day at most."""
    host, _, pid = partial.name.removesuffix(PARTIAL).rsplit(".", 1)[-1].rpartition("-")
    if not pid.isdecimal():
        return False
    if host == _host():
        return psutil.pid_exists(int(pid))
    return time.time() - partial.stat().st_mtime < A_DAY


def _host() -> str:
    return socket.gethostname().replace(".", "_")


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{_host()}-{os.getpid()}{PARTIAL}")
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _set_modes(path: Path, mode: int) -> None:
    """Set the permissions of a file, or of a folder with its content, to those of a new folder's mode."""
    for found in (path, *path.rglob("*")):
        found.chmod(mode & (0o777 if found.is_dir() else 0o666))


def write_text_atomically(path: Path, text: str) -> None:
    """Write a text file atomically; a lone surrogate is written as \\udXXX, its escape in JSON."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def check_writable(folder: Path) -> None:
    """Create a folder, unless it exists, and raise UserError if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: the name has a NUL
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write to {str(folder)!r}: {reason}. Choose another folder.") from None


def open_to_append(path: Path) -> int:
    """Open or create a file to append to and return its descriptor; its content is kept, and no link is followed.

    Raises:
        OSError: it cannot be opened, is a link, or no regular file.
    """
    if path.is_symlink():  # Windows has no O_NOFOLLOW
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    guards = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | guards, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file
