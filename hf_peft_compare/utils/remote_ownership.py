"""Ownership of a remote folder by one process, among all machines that reach it: a file with a lease.

Creating the file is exclusive where fsspec has conditional writes for the store, as for S3; elsewhere two processes
that start at the same moment may both succeed. Whoever follows an owner that is gone first creates a second file, so
that of all that find the same lease expired a single one follows it, as far as creating is exclusive. The file names
one process, and whoever is not named must not upload: `is_mine` says so. Ages are by the store's own clock.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

from hf_peft_compare.utils.ownership import OwnedByAnother, Owner, living_owner, renewed
from hf_peft_compare.utils.remote_folder import RemoteFolder

FILE = ".owner"
LEASE_SECONDS = 180.0
SECONDS_OF_A_TAKEOVER = 0.5


@contextlib.contextmanager
def owned_remotely(remote: RemoteFolder, *, meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Own a remote folder.

    Args:
        meanwhile: called at every renewal, in a thread.

    Raises:
        OwnedByAnother: another process owns it.
    """
    while not _take(remote, FILE):
        if (owner := remote_owner(remote)) is not None:
            raise OwnedByAnother(owner)
        time.sleep(SECONDS_OF_A_TAKEOVER)

    def renew() -> None:
        with contextlib.suppress(Exception):  # a network that is away may be back before the lease ends
            if is_mine(remote):
                remote.write(FILE, _here())
                meanwhile()

    try:
        with renewed(renew, LEASE_SECONDS):
            yield
    finally:
        with contextlib.suppress(Exception):  # the lease ends by itself
            if is_mine(remote):
                remote.remove(FILE)


def remote_owner(remote: RemoteFolder) -> Owner | None:
    """Return the process that owns a remote folder; None: nobody, or one that is gone."""
    try:
        return _named_by(remote, FILE)
    except FileNotFoundError:
        return None


def is_mine(remote: RemoteFolder) -> bool:
    """Whether this process owns a remote folder, and no other has taken it since."""
    return remote.read(FILE) == _here()


def _named_by(remote: RemoteFolder, name: str) -> Owner | None:
    """Return who is named by an owner file; None: one who is gone.

    Raises:
        FileNotFoundError: there is none.
    """
    if (content := remote.read(name)) is None:
        raise FileNotFoundError(name)
    return living_owner(content, lambda: remote.age(name), LEASE_SECONDS)


def _take(remote: RemoteFolder, name: str) -> bool:
    """Create the owner file, or follow an owner who is gone; return whether it is this process's now."""
    try:
        remote.write(name, _here(), new=True)
        return True
    except FileExistsError:
        claim = f"{name}.next"
    if not _is_left_behind(remote, name) or not _take(remote, claim):
        return False
    try:  # Nobody else follows an owner while this process has the claim; who has followed it before is seen now.
        if followed := _is_left_behind(remote, name):
            remote.write(name, _here())
        return followed
    finally:
        remote.remove(claim)


def _is_left_behind(remote: RemoteFolder, name: str) -> bool:
    """Whether there is an owner file, and its owner is gone."""
    try:
        return _named_by(remote, name) is None
    except FileNotFoundError:
        return False


def _here() -> bytes:
    return json.dumps(asdict(Owner.here())).encode()
