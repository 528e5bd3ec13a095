"""A folder belongs to one process at a time, whatever machine that is on, and to nobody when its owner is gone."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hf_peft_compare.utils.ownership import OwnedByAnother, Owner, owned, read_owner

HOLD = """
import sys; from pathlib import Path; from hf_peft_compare.utils.ownership import owned
with owned(Path(sys.argv[1])): print("held", flush=True); sys.stdin.read()
"""

RACE = """
import multiprocessing, sys; from pathlib import Path
from hf_peft_compare.utils.ownership import OwnedByAnother, owned

def race(file, barrier):
    barrier.wait(60)
    try:
        with owned(file): print("won", flush=True); barrier.wait(60)
    except OwnedByAnother: barrier.wait(60)

fork = multiprocessing.get_context("fork")
for folder in sys.argv[1:]:
    barrier = fork.Barrier(6)
    racers = [fork.Process(target=race, args=(Path(folder, ".owner"), barrier)) for _ in range(6)]
    for racer in racers: racer.start()
    for racer in racers: racer.join()
    print("of", [racer.exitcode for racer in racers], flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".owner"


def write(owner: Owner, file: Path) -> None:
    file.write_text(json.dumps(asdict(owner)))


def test_a_folder_is_owned_once_and_goes_with_its_process(file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(OwnedByAnother, match=f"process {holder.pid} on "), owned(file):
            pass
        holder.kill()
        holder.wait()
    assert file.exists() and read_owner(file) is None
    with owned(file):
        assert read_owner(file) == Owner.here()
    assert not file.exists()


def test_the_number_of_a_process_that_is_gone_may_be_another_ones(file: Path) -> None:
    write(replace(Owner.here(), started=1.0), file)
    assert read_owner(file) is None


@pytest.mark.parametrize("change", [{"host": "node7"}, {"pid_space": "pid:[1]"}])
def test_an_owner_elsewhere_is_gone_when_its_lease_is_over(change: dict[str, str], file: Path) -> None:
    """Also in another container of this host, where a process cannot be asked for by its number."""
    write(replace(Owner.here(), **change), file)  # type: ignore[arg-type]
    with pytest.raises(OwnedByAnother), owned(file):
        pass
    os.utime(file, (time.time() - 100, time.time() - 100))
    with owned(file):
        assert read_owner(file) == Owner.here()


def test_the_lease_is_renewed_while_the_owner_lives(file: Path) -> None:
    with owned(file, lease=0.6):
        os.utime(file, (0, 0))
        time.sleep(0.3)
        assert time.time() - file.stat().st_mtime < 10


def test_who_waits_is_next(file: Path) -> None:
    order = []

    def wait() -> None:
        with owned(file, wait=True):
            order.append("second")

    with owned(file):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_of_many_who_follow_one_that_is_gone_one_at_a_time_owns(file: Path) -> None:
    write(replace(Owner.here(), started=1.0), file)
    inside, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        with owned(file, wait=True):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            with lock:
                inside[0] -= 1

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == [1] and list(file.parent.iterdir()) == []


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads that are switched as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_of_many_threads_that_find_an_owner_gone_at_once_one_follows_it(tmp_path: Path, eager_threads: None) -> None:
    def race(file: Path, begin: threading.Barrier, end: threading.Barrier, winners: list[int]) -> None:
        begin.wait(60)
        with contextlib.suppress(OwnedByAnother), owned(file):
            winners.append(threading.get_ident())
            end.wait(60)  # the winner keeps it until all others have tried
            return
        end.wait(60)

    for number in range(100):
        file = tmp_path / str(number) / ".owner"
        file.parent.mkdir()
        write(replace(Owner.here(), started=1.0), file)
        begin, end, winners = threading.Barrier(8), threading.Barrier(8), list[int]()
        racers = [threading.Thread(target=race, args=(file, begin, end, winners)) for _ in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len(winners) == 1 and list(file.parent.iterdir()) == []


def test_of_many_processes_that_find_an_owner_gone_at_once_one_follows_it(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
        write(replace(Owner.here(), started=1.0), folder / ".owner")
    done = subprocess.run([sys.executable, "-c", RACE, *folders], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["won", f"of {[0] * 6}"] * len(folders)
    assert [path for folder in folders for path in folder.iterdir()] == []


def test_one_that_died_while_it_followed_another_is_followed_too(file: Path) -> None:
    gone = replace(Owner.here(), started=1.0)
    write(gone, file)
    write(gone, file.with_name(".owner.next"))
    with owned(file):
        assert read_owner(file) == Owner.here() and [path.name for path in file.parent.iterdir()] == [".owner"]


def test_while_another_process_follows_one_that_is_gone_nobody_else_does(file: Path) -> None:
    write(replace(Owner.here(), started=1.0), file)
    write(replace(Owner.here(), host="node7"), file.with_name(".owner.next"))
    taken = threading.Event()

    def take() -> None:
        with owned(file, wait=True):
            taken.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not taken.wait(0.3)
    file.with_name(".owner.next").unlink()
    waiting.join(60)
    assert taken.is_set()


def test_who_was_followed_does_not_renew_the_lease_of_the_other(file: Path) -> None:
    with owned(file, lease=0.3):
        write(replace(Owner.here(), host="node7"), file)
        os.utime(file, (0, 0))
        time.sleep(0.2)
        assert file.stat().st_mtime == 0
    assert file.exists()


def test_a_file_that_is_being_written_belongs_to_somebody(file: Path) -> None:
    file.touch()
    with pytest.raises(OwnedByAnother), owned(file):
        pass


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_of_ours_is_refused(kind: str, file: Path) -> None:
    file.symlink_to(file.parent / "theirs") if kind == "link" else file.mkdir()
    with pytest.raises(FileExistsError, match="link or no regular file"), owned(file):
        pass
