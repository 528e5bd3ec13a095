"""Ownership of a remote folder by one process, among all machines that reach it: a file with a lease.

Creating the file is exclusive where the store has conditional writes, as S3 has; elsewhere two processes that start at
the same moment may both succeed. Two that find the same expired lease at the same moment may too. The file names one of
them, and whoever is not named must not upload: `is_mine` says so. Ages are by the store's own clock.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

from hf_peft_compare.utils.ownership import OwnedByAnother, Owner, renewed
from hf_peft_compare.utils.remote_folder import RemoteFolder

FILE = ".owner"
LEASE_SECONDS = 180.0


@contextlib.contextmanager
def owned_remotely(remote: RemoteFolder, *, meanwhile: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Own a remote folder.

    Args:
        meanwhile: called at every renewal, in a thread.

    Raises:
        OwnedByAnother: another process owns it.
    """
    _take(remote)

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
        owner = Owner(**json.loads(remote.read(FILE) or b""))
    except (ValueError, TypeError):
        return None
    if owner.is_here:
        return owner if owner.lives else None
    return owner if remote.age(FILE) < LEASE_SECONDS else None


def is_mine(remote: RemoteFolder) -> bool:
    """Whether this process owns a remote folder, and no other has taken it since."""
    return remote.read(FILE) == _here()


def _take(remote: RemoteFolder) -> None:
    if (owner := remote_owner(remote)) is not None:
        raise OwnedByAnother(owner)
    remote.remove(FILE)
    try:
        remote.write(FILE, _here(), new=True)
    except FileExistsError:
        if (owner := remote_owner(remote)) is not None:
            raise OwnedByAnother(owner) from None
        raise


def _here() -> bytes:
    return json.dumps(asdict(Owner.here())).encode()
