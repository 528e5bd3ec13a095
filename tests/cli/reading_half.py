"""Run commands where something is not installed, or on a system that lacks what POSIX has: `python reading_half.py`.

reading_half.py PACKAGE,… -- list            packages that cannot be imported; "windows" stands for its system
"""

from __future__ import annotations

import importlib
import importlib.abc
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType

LOADED = tuple("asyncio subprocess tempfile jinja2 numpy psutil pydantic rich.console scipy.stats tqdm yaml".split())
HEAVY = ("torch", "transformers", "peft", "datasets", "accelerate", "evaluate", "fsspec.implementations.local")
POSIX_MODULES = ("fcntl", "grp", "pwd", "resource", "syslog", "termios")
POSIX_OF_OS = (
    "O_NOFOLLOW O_NONBLOCK O_DIRECTORY fork forkpty getuid geteuid getgid getpgid getloadavg killpg setsid nice "
    "register_at_fork sched_getaffinity sysconf uname mkfifo chown"
).split()
POSIX_OF_SIGNAL = "SIGUSR1 SIGUSR2 SIGKILL SIGHUP SIG_BLOCK SIG_UNBLOCK SIG_SETMASK pthread_sigmask setitimer".split()


class Missing(importlib.abc.MetaPathFinder):
    """Refuses to import some packages, as if they were not installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def become_windows(missing: Sequence[str]) -> None:
    """Take away what Windows does not have; the other packages are loaded before, as what they are here."""
    for name in LOADED + (() if "torch" in missing else HEAVY):
        importlib.import_module(name)
    for name in POSIX_OF_OS:
        if hasattr(os, name):
            delattr(os, name)
    for name in POSIX_OF_SIGNAL:
        delattr(signal, name)
    del multiprocessing.context.ForkServerContext, multiprocessing.context.ForkContext
    for name in POSIX_MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Missing(POSIX_MODULES))
    sys.platform = "win32"


def main() -> int:
    """Run the commands one after the other, and return the highest status."""
    names = sys.argv[1].split(",")
    if "windows" in names:
        become_windows(names)
    sys.meta_path.insert(0, Missing(names))
    from hf_peft_compare.cli.main import main as command_line

    commands = " ".join(sys.argv[2:]).split("-- ")[1:]
    return max(command_line(command.split()) for command in commands)


if __name__ == "__main__":
    sys.exit(main())
