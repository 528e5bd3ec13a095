"""How runs are divided over processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hf_peft_compare.orchestration.launcher import most_processes


@pytest.mark.parametrize(
    ("batch", "accumulation", "num_gpus", "expected"),
    [(8, 1, 4, 4), (8, 1, 3, 2), (8, 4, 4, 2), (8, 8, 4, 1), (9, 1, 4, 3), (8, 1, 0, 1), (8, 1, 1, 1)],
)
def test_a_run_takes_as_many_gpus_as_its_effective_batch_divides_into(
    batch, accumulation, num_gpus, expected, tiny_study
):
    settings = [f"training.train_batch_size={batch}", f"training.gradient_accumulation_steps={accumulation}"]
    config, _ = tiny_study(*settings).resolve(row="lora", seed=0)
    assert most_processes([config], num_gpus) == expected


def test_a_check_ends_with_its_parent_however_that_ends(tmp_path):
    """The check has no more than its parent's death to tell it: nothing is sent to a process that is killed."""
    busy = f"open({str(tmp_path / 'begun')!r}, 'w').close(); import time; time.sleep(99)"
    code = (
        "from multiprocessing import get_context; from hf_peft_compare.orchestration.launcher import _in_child;"
        f"_in_child(get_context('forkserver'), exec, {busy!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], start_new_session=True)
    try:
        wait_until((tmp_path / "begun").exists)
        assert len(of_session(parent.pid)) > 1
        parent.kill()
        parent.wait()
        wait_until(lambda: not of_session(parent.pid))
    finally:
        for pid in of_session(parent.pid):
            os.kill(pid, signal.SIGKILL)


def of_session(leader):
    """Return the processes of a session, which the children of its first process stay in."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,sess=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, session, state in rows if int(session) == leader and not state.startswith("Z")]


def wait_until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
