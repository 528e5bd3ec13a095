"""Start-up time of commands that do not need torch."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.table import Benchmark, Row, compare_seconds
from hf_peft_compare.core.errors import RunFailed

LIMIT_SECONDS = 1.0
AIMS = dict.fromkeys(["--help", "list"], "under 1 s")
WITHOUT_TORCH = """
import sys
from hf_peft_compare.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
sys.exit(status or ("torch" in sys.modules and "torch was imported") or 0)
"""


def run(quick: bool) -> list[Row]:
    """Time `--help`, `list` and `report`, and check that none of them imports torch."""
    with tempfile.TemporaryDirectory() as folder:
        study = ["quickstart", "--output-dir", folder]
        _python("-m", "hf_peft_compare", "run", *study, "--method", "lead")  # a report needs a record
        commands = {"--help": ["--help"], "list": ["list"], "report": ["report", *study]}
        for command in commands.values():
            _python("-c", WITHOUT_TORCH, *command)
        rounds = [_round(commands) for _ in range(1 if quick else 5)]
    return [_row(name, rounds) for name in commands]


def _round(commands: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Time each command once, and the import of the libraries that it must not import."""
    seconds = {name: _python("-m", "hf_peft_compare", *command) for name, command in commands.items()}
    return {**seconds, "libraries": _python("-c", "import torch, transformers, peft")}


def _row(name: str, rounds: Sequence[Mapping[str, float]]) -> Row:
    seconds, libraries = ([one[key] for one in rounds] for key in (name, "libraries"))
    row = compare_seconds(name, seconds, libraries, note="torch is not imported")
    return replace(row, aim=AIMS.get(name, ""), met=statistics.median(seconds) < LIMIT_SECONDS)


def _python(*arguments: str) -> float:
    """Run Python in its own process and return its seconds.

    Raises:
        RunFailed: it exited with an error.
    """
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RunFailed(f"python {' '.join(arguments)} exited with status {done.returncode}: {done.stderr}")
    return time.perf_counter() - start


BENCHMARK = Benchmark(
    name="command_line",
    title="Commands that do not need torch",
    about="A whole process, from start to exit, compared with a process that imports torch, transformers and peft.",
    run=run,
    sides=("command", "imports"),
)
