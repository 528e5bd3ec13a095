"""Four clocks, one each for training, evaluation, saving and loading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch

from hf_peft_compare.training.callbacks.phases import PHASES, PhaseCallback


class WallClock(PhaseCallback):
    """Time each phase of a run, in seconds.

    | key                  | what is timed                                            |
    |----------------------|----------------------------------------------------------|
    | seconds["train"]     | first values from train texts; optimizer steps           |
    | seconds["evaluation"]| validation loss during training, test loss, generation   |
    | seconds["save"]      | checkpoints, the best state, the tuned model             |
    | seconds["load"]      | data, tokenization, model                                |

    The GPU is synchronized only where a phase ends.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._phase: str | None = None
        self._since = 0.0

    def enter(self, phase: str | None) -> None:
        """Stop the clock of the current phase and start another."""
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.synchronize()
        now = perf_counter()
        if self._phase is not None:
            self.seconds[self._phase] += now - self._since
        self._phase, self._since = phase, now

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Time a block outside of the Trainer as one phase."""
        self.enter(phase)
        try:
            yield
        finally:
            self.enter(None)

    def state(self) -> dict[str, Any]:
        """Return the state that checkpoints save: the seconds so far."""
        self.enter(self._phase)
        return {"args": {}, "attributes": {"seconds": dict(self.seconds)}}
