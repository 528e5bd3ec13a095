"""Compare two or more sides: each runs in its own process, in alternating turns A, B, A, B, …

Disturbances of the machine (heat, neighbors, caches) thus affect all sides equally, and peak memory is measured per
side.
"""

from __future__ import annotations

import multiprocessing
import re
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import transformers
from transformers import TrainerCallback

from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.orchestration.children import PRELOADED

Work = Callable[["Turns"], None]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one process after loading, and at its later peak; None if the system does not report them."""

    loaded_bytes: int | None
    peak_bytes: int | None

    @property
    def work_bytes(self) -> int | None:
        """The peak memory above the loaded state."""
        return None if self.peak_bytes is None or self.loaded_bytes is None else self.peak_bytes - self.loaded_bytes


@dataclass(frozen=True, kw_only=True)
class Side:
    """The measurements of one side.

    Args:
        seconds: seconds of each turn, without the warm-ups.
        results: the result of each turn, those of the warm-ups first.
        memory: the memory of its process.
    """

    seconds: list[float]
    results: list[Any]
    memory: Memory


class EndOfTurns(BaseException):
    """There are no more turns. Not an `Exception`, which a run would treat as its own failure."""


class Turns:
    """The turns as seen by a side: it waits for its turn, works, and reports that it is done."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._start = 0.0
        self._loaded_bytes: int | None = None
        self.begun = False

    def begin(self) -> None:
        """Wait for the next turn and start its clock. Loading before the first turn is not measured.

        Raises:
            EndOfTurns: there are no more turns.
        """
        if not self.begun:
            self._loaded_bytes = _bytes_now()
            self._connection.send("ready")
            self.begun = True
        if not self._connection.recv():
            raise EndOfTurns
        self._start = time.perf_counter()

    def end(self, result: Any = None) -> None:
        """End the turn and send its result."""
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self._connection.send((time.perf_counter() - self._start, result))

    @property
    def memory(self) -> Memory:
        """Memory of this process so far."""
        return Memory(loaded_bytes=self._loaded_bytes, peak_bytes=_peak_bytes())


class TakeTurns(TrainerCallback):
    """Make a Trainer take turns of some optimizer steps or of an epoch; a turn's result has the "losses" logged since.

    A turn of steps lasts from the end of a step to the end of another, so it includes everything that the Trainer does.
    A turn of an epoch ends before the epoch's evaluation and checkpoint.

    Args:
        steps: optimizer steps per turn; None: an epoch.
    """

    def __init__(self, turns: Turns, *, steps: int | None = 1):
        self.turns = turns
        self.steps = steps
        self.result: dict[str, Any] = {"losses": []}

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the first turn unless it has started before training, or the turn of an epoch."""
        if not self.turns.begun or (self.steps is None and state.global_step):
            self.turns.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End a turn of steps and start the next."""
        if self.steps is not None and state.global_step % self.steps == 0:
            self._end()
            self.turns.begin()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End a turn of an epoch."""
        if self.steps is None:
            self._end()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Store the loss."""
        if "loss" in logs:
            self.result["losses"].append(logs["loss"])

    def _end(self) -> None:
        self.turns.end(self.result)
        self.result = {"losses": []}


def interleave(sides: Mapping[str, Work], *, repetitions: int, warmups: int = 1) -> dict[str, Side]:
    """Run all sides in alternating turns and return the measurements of each.

    Args:
        sides: {name: work}; `work(turns)`, a function of a module or a `partial` of one, loads what it needs and then
            takes turns until there are no more.
        repetitions, warmups: number of measured turns of each side, and of turns before them.

    Raises:
        RunFailed: a side ended before its turns; its error is printed above.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ExitStack() as stack:
        players = {name: stack.enter_context(_Player(context, name, work)) for name, work in sides.items()}
        for player in players.values():
            player.receive()  # the side has finished loading
        turns = [{name: player.take_turn() for name, player in players.items()} for _ in range(warmups + repetitions)]
        memory = {name: player.finish() for name, player in players.items()}
    return {
        name: Side(
            seconds=[turn[name][0] for turn in turns[warmups:]],
            results=[turn[name][1] for turn in turns],
            memory=memory[name],
        )
        for name in sides
    }


class _Player:
    """One side as seen by the process that schedules the turns."""

    def __init__(self, context: Any, name: str, work: Work):
        self.name = name
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_play, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()  # so that this process notices when the side's process dies

    def __enter__(self) -> _Player:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        if error is not None:
            self.process.terminate()
        self.process.join()

    def receive(self) -> Any:
        """Return the side's next message."""
        try:
            return self.connection.recv()
        except EOFError:
            raise RunFailed(f"{self.name} ended before its turns; its error is printed above.") from None

    def take_turn(self) -> tuple[float, Any]:
        """Start the side's turn; return its seconds and its result."""
        self.connection.send(True)
        return self.receive()

    def finish(self) -> Memory:
        """Signal to the side that there are no more turns; return its memory."""
        self.connection.send(False)
        return self.receive()


def _play(connection: Connection, work: Work) -> None:
    warnings.simplefilter("ignore")  # warnings would clutter the table
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    turns = Turns(connection)
    try:
        work(turns)
    except EndOfTurns:
        connection.send(turns.memory)


def _bytes_now() -> int | None:
    """Return the bytes allocated on the GPU, or else resident, and reset the peak."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux
        return None
    return _resident_bytes("VmRSS")


def _peak_bytes() -> int | None:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _resident_bytes("VmHWM")


def _resident_bytes(name: str) -> int | None:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
