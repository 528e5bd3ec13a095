"""Ownership of a folder by one process, among all machines that share its file system.

The owner creates a file that must not exist yet, which every file system does for one process only; locks of the
operating system fail or hang on shared ones. The file names host and process, and its time is renewed while the owner
lives. A process of the same host is asked whether it lives; one of another host is gone when the file has not been
renewed for a lease. Ages are differences between times that the file system itself gave, so clocks may differ.

Whoever follows an owner that is gone first owns the right to do so, by a file of the same kind beside the owner file,
and then renames that file onto it. So a file of an owner that lives is never moved or removed by another process, and
of all that find the same one gone a single one follows it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

LEASE_SECONDS = 90.0
RENEWALS_PER_LEASE = 6
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_OF_A_TAKEOVER = 0.01


class OwnedByAnother(Exception):
    """The folder belongs to a process that lives, or may live."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(str(owner))
        self.owner = owner


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process: its host, the space of process numbers that its own is of, its number, and when it was started."""

    host: str
    pid_space: str
    pid: int
    started: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @classmethod
    def here(cls) -> Owner:
        """Return this process."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(), pid_space=_pid_space(), pid=pid, started=psutil.Process(pid).create_time()
        )

    @property
    def is_here(self) -> bool:
        """Whether this process can ask the operating system about it."""
        return (self.host, self.pid_space) == (socket.gethostname(), _pid_space())

    @property
    def lives(self) -> bool:
        """Whether a process of this host lives; a number may have been given to another process since."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


UNKNOWN = Owner(host="another host", pid_space="", pid=0, started=0.0)


def read_owner(path: Path, *, lease: float = LEASE_SECONDS) -> Owner | None:
    """Return who owns a folder by its owner file; None: nobody, or one who is gone.

    Raises:
        FileExistsError: it is a link or no regular file.
        OSError: it cannot be read.
    """
    try:
        return _named_by(path, lease)
    except FileNotFoundError:
        return None


def living_owner(text: str | bytes, age: Callable[[], float], lease: float) -> Owner | None:
    """Return whom the text of an owner file names; None: one who is gone.

    Args:
        age: returns the seconds since the file was renewed; asked for an owner of another host only.
    """
    owner = _parse(text)
    if owner is not None and owner.is_here:
        return owner if owner.lives else None
    return None if age() > lease else owner or UNKNOWN  # it is just being written


def _parse(text: str | bytes) -> Owner | None:
    """Return whom the text of an owner file names; None: it is not whole."""
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        return None


@contextlib.contextmanager
def owned(path: Path, *, wait: bool = False, lease: float = LEASE_SECONDS) -> Iterator[None]:
    """Own the folder of an owner file; an owner that is gone is followed.

    Args:
        wait: until the present owner gives it up or is gone.

    Raises:
        OwnedByAnother: another process owns it, and `wait` is false.
        FileExistsError: there is a link or no regular file in its place.
        OSError: it cannot be written.
    """
    while not _take(path, lease):
        if (owner := read_owner(path, lease=lease)) is not None and not wait:
            raise OwnedByAnother(owner)
        time.sleep(SECONDS_BETWEEN_LOOKS if wait else SECONDS_OF_A_TAKEOVER)
    try:
        with renewed(lambda: _renew(path), lease):
            yield
    finally:
        if _is_mine(path):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def renewed(renew: Callable[[], None], lease: float) -> Iterator[None]:
    """Renew a lease of so many seconds in a thread, until the block ends."""
    done = threading.Event()

    def renew_until_done() -> None:
        while not done.wait(lease / RENEWALS_PER_LEASE):
            renew()

    renewal = threading.Thread(target=renew_until_done, daemon=True)
    renewal.start()
    try:
        yield
    finally:
        done.set()
        renewal.join()


def _named_by(path: Path, lease: float) -> Owner | None:
    """Return who is named by an owner file; None: one who is gone.

    Raises:
        FileNotFoundError: nobody owns the folder.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise FileExistsError(errno.EEXIST, "a link or no regular file", str(path))
    with path.open(encoding="utf-8") as file:  # text and time of one file, whatever comes to its place meanwhile
        text, renewed_at = file.read(), os.fstat(file.fileno()).st_mtime
    return living_owner(text, lambda: _now(path.parent) - renewed_at, lease)


def _take(path: Path, lease: float) -> bool:
    """Create the owner file, or follow an owner who is gone; return whether it is this process's now."""
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(asdict(Owner.here()), file)
        return True
    except FileExistsError:
        claim = path.with_name(f"{path.name}.next")
    if not _is_left_behind(path, lease) or not _take(claim, lease):
        return False
    # Nobody else follows an owner while this process has the claim; who has followed it before is seen now.
    if not _is_left_behind(path, lease):
        claim.unlink(missing_ok=True)
        return False
    with contextlib.suppress(FileNotFoundError):  # halted for a lease, this process has lost the claim itself
        claim.replace(path)
    return _is_mine(path)


def _is_left_behind(path: Path, lease: float) -> bool:
    """Whether there is an owner file, and its owner is gone."""
    try:
        return _named_by(path, lease) is None
    except FileNotFoundError:
        return False


def _renew(path: Path) -> None:
    with contextlib.suppress(OSError):
        if _is_mine(path):
            os.utime(path)


def _is_mine(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return _parse(path.read_text(encoding="utf-8")) == Owner.here()
    return False


def _now(folder: Path) -> float:
    """Return the present time of the folder's file system."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".now") as file:
        return os.stat(file.name).st_mtime


def _pid_space() -> str:
    """Return what tells the process numbers of one container from those of another on the same host."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
