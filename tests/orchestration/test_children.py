"""Child processes end with their parent, and with its interrupts."""

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.orchestration.children import TERMINATED, call_in_child, sigterm_as_ctrl_c


def test_sigterm_is_ctrl_c_within_the_block_only():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_as_ctrl_c():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_leaves_signals_alone():
    found = []

    def enter():
        with sigterm_as_ctrl_c():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def refuse():
    raise UserError("bad input")


@pytest.mark.parametrize(
    ("function", "arguments", "error", "words"),
    [
        (refuse, (), UserError, "bad input"),
        (len, (1,), RunFailed, "TypeError: object of type 'int' has no len"),
        (signal.raise_signal, (signal.SIGTERM,), RunFailed, f"exited with status {TERMINATED}"),
        (os._exit, (3,), RunFailed, "exited with status 3"),
        pytest.param(
            *(signal.raise_signal, (signal.SIGINT,), KeyboardInterrupt, None),
            marks=pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="Ctrl-C is ignored"),
        ),
    ],
)
def test_what_ends_a_call_in_a_child_ends_it_here(function, arguments, error, words):
    with pytest.raises(error, match=words):
        call_in_child(function, *arguments)


def test_a_call_in_a_child_has_this_process_environment_and_returns_its_result(monkeypatch):
    monkeypatch.setenv("ONLY_HERE", "yes")
    assert call_in_child(os.getenv, "ONLY_HERE") == "yes"


def describe_memory():
    return {"transformers", "peft", "datasets"} <= sys.modules.keys(), gc.isenabled(), gc.get_freeze_count()


def test_slow_imports_are_there_in_a_child_and_no_garbage_collection_looks_through_them():
    imported, enabled, frozen = call_in_child(describe_memory)
    assert imported and enabled and frozen > 100_000


def count_semaphores():
    from multiprocessing import resource_tracker

    from tqdm.contrib.concurrent import thread_map

    opened, register = [], resource_tracker.register
    resource_tracker.register = lambda *args: opened.append(args) or register(*args)
    thread_map(str, [1, 2], disable=True)  # as `datasets` reads its files
    return len(opened)


def test_a_child_opens_no_semaphore_that_its_sudden_end_would_leave_behind():
    assert call_in_child(count_semaphores) == 0


@pytest.mark.slow
def test_loading_the_slow_imports_prints_nothing_where_wandb_is_offline():
    command = [sys.executable, "-c", "import hf_peft_compare.orchestration.preloaded"]
    done = subprocess.run(command, env={**os.environ, "WANDB_MODE": "offline"}, capture_output=True, check=True)
    assert done.stdout == b""
