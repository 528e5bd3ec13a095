"""A folder belongs to one process at a time, whatever machine that is on, and to nobody when its owner is gone."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hf_peft_compare.utils.ownership import OwnedByAnother, Owner, owned, read_owner

HOLD = """
import sys; from pathlib import Path; from hf_peft_compare.utils.ownership import owned
with owned(Path(sys.argv[1])): print("held", flush=True); sys.stdin.read()
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


def test_a_file_that_is_being_written_belongs_to_somebody(file: Path) -> None:
    file.touch()
    with pytest.raises(OwnedByAnother), owned(file):
        pass


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_of_ours_is_refused(kind: str, file: Path) -> None:
    file.symlink_to(file.parent / "theirs") if kind == "link" else file.mkdir()
    with pytest.raises(FileExistsError, match="link or no regular file"), owned(file):
        pass
