"""One process owns a remote folder; one that is gone is followed."""

import contextlib
import json
import threading
from dataclasses import asdict, replace

import pytest
from remote_stores import store  # noqa: F401 - a fixture

from hf_peft_compare.utils import ownership, remote_ownership
from hf_peft_compare.utils.ownership import OwnedByAnother, Owner
from hf_peft_compare.utils.remote_folder import local_folder, remote_of
from hf_peft_compare.utils.remote_ownership import is_mine, owned_remotely, remote_owner

ELSEWHERE = Owner(host="elsewhere", pid_space="", pid=7, started=0.0)


@pytest.fixture
def remote(store):  # noqa: F811
    return remote_of(local_folder(store))


def claim(remote, owner):
    remote.write(".owner", json.dumps(asdict(owner)).encode())


def test_it_is_owned_until_it_is_given_up(remote):
    with owned_remotely(remote):
        assert is_mine(remote) and remote_owner(remote) == Owner.here()
    assert remote_owner(remote) is None and remote.files() == {}


def test_another_machine_keeps_it_for_the_time_of_a_lease(remote, monkeypatch):
    claim(remote, ELSEWHERE)
    with pytest.raises(OwnedByAnother, match="process 7 on elsewhere"), owned_remotely(remote):
        pass
    monkeypatch.setattr(remote_ownership, "LEASE_SECONDS", -1.0)
    assert remote_owner(remote) is None


def test_a_lease_that_has_ended_is_taken_over(remote, monkeypatch):
    claim(remote, ELSEWHERE)
    monkeypatch.setattr(type(remote), "age", lambda *_: 1e4)
    with owned_remotely(remote):
        assert is_mine(remote)


@pytest.mark.parametrize("store", ["file", "s3"], indirect=True)
def test_of_many_that_find_a_lease_ended_at_once_one_follows_it(store, monkeypatch):  # noqa: F811
    monkeypatch.setattr(remote_ownership, "SECONDS_OF_A_TAKEOVER", 0.01)
    for number in range(5):
        folder = local_folder(f"{store}/{number}")
        claim(remote_of(folder), replace(Owner.here(), pid=2**22 - 1, started=1.0))
        begin, end, winners = threading.Barrier(4), threading.Barrier(4), []

        def race(folder=folder, begin=begin, end=end, winners=winners):
            remote = remote_of(folder)
            begin.wait(60)
            with contextlib.suppress(OwnedByAnother), owned_remotely(remote):
                winners.append(remote)
                end.wait(60)  # the winner keeps it until all others have tried
                return
            end.wait(60)

        racers = [threading.Thread(target=race) for _ in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len(winners) == 1 and [winners[0].read(name) for name in (".owner", ".owner.next")] == [None, None]


def test_a_claim_that_is_not_whole_keeps_others_away_for_a_lease(remote, monkeypatch):
    remote.write(".owner", b"")
    with pytest.raises(OwnedByAnother, match="another host"), owned_remotely(remote):
        pass
    monkeypatch.setattr(remote_ownership, "LEASE_SECONDS", -1.0)
    assert remote_owner(remote) is None


def test_a_process_of_this_machine_that_has_ended_owns_nothing(remote):
    claim(remote, replace(Owner.here(), pid=2**22 - 1, started=1.0))
    assert remote_owner(remote) is None


def test_who_lost_it_does_not_remove_the_claim_of_the_other(remote):
    with owned_remotely(remote):
        claim(remote, ELSEWHERE)
        assert not is_mine(remote)
    assert remote_owner(remote) == ELSEWHERE


def test_creating_it_is_exclusive(remote):
    remote.write(".owner", b"", new=True)
    with pytest.raises(FileExistsError):
        remote.write(".owner", b"", new=True)


def test_it_is_renewed_and_something_done_meanwhile(remote, monkeypatch):
    monkeypatch.setattr(ownership, "RENEWALS_PER_LEASE", 1e5)
    called = threading.Event()
    with owned_remotely(remote, meanwhile=called.set):
        assert called.wait(20)
