"""Child processes of this one: they have its environment, and end when it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hf_peft_compare.core.errors import INTERRUPTED, RunFailed, UserError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext

PRELOADED = ["hf_peft_compare.orchestration.preloaded"]
NEEDED = ("torch", "transformers", "peft", "datasets")
TERMINATED = 128 + signal.SIGTERM  # the exit status of a child that was ended by it


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM interrupt the block as Ctrl-C does; outside of the main thread it cannot be caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_system() -> None:
    """Check that runs can be done here, before anything heavy is loaded.

    Raises:
        UserError: a run's process cannot be forked, such as on Windows.
        ModuleNotFoundError: a library that all runs need is not installed.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise UserError(
            f"runs are done on Linux and macOS, and this is {sys.platform}; use WSL. list, show, status, plan, report "
            "and choose work here."
        )
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _context() -> ForkServerContext:
    """Return the start method of children: fork from a server process that has only loaded the slow imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


_STARTING = threading.Lock()


def start_child(function: Callable[..., None], *arguments: object) -> Any:
    """Start a process that has this one's environment, plugins included, and nothing of its main module.

    The server that children are forked from has the environment of its own start, which in a notebook is long past.
    Without a main module to import again, a script needs no `if __name__ == "__main__"`.
    """
    from multiprocessing import resource_tracker

    process = _context().Process(target=_call, args=(dict(os.environ), function, arguments))
    resource_tracker.ensure_running()  # its start would unblock Ctrl-C
    with _STARTING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        # Ctrl-C during the server's imports would end them in a traceback.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            sys.modules["__main__"] = main
    return process


def _call(environment: Mapping[str, str], function: Callable[..., None], arguments: Sequence[object]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a sudden end would leave behind
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        function(*arguments)
    except KeyboardInterrupt:  # the parent says so
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _exit_with(sentinel: Any) -> None:
    """Exit as soon as the parent has ended, for whatever reason: an orphan would keep computing unnoticed."""
    from multiprocessing.connection import wait

    wait([sentinel])
    os._exit(1)


def call_in_child(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a child process and return its result or raise its error."""
    receiver, sender = _context().Pipe(duplex=False)
    process = start_child(_answer, sender, function, arguments)
    sender.close()
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        if process.exitcode == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise RunFailed(f"the preflight check of the study exited with status {process.exitcode}.") from None
    except KeyboardInterrupt:
        process.terminate()
        raise
    process.join()
    if error is not None:
        raise error
    return result


def _answer(sender: Connection, function: Callable[..., Any], arguments: Sequence[object]) -> None:
    try:
        sender.send((function(*arguments), None))
    except UserError as error:
        sender.send((None, error))
    except Exception as error:
        traceback.print_exc()
        sender.send((None, RunFailed(f"{type(error).__name__}: {error}")))
