"""FLOPs of training: counted in a few micro-batches, extrapolated to all others by their size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from hf_peft_compare.data.collators import count_columns
from hf_peft_compare.utils.flops import FlopCounter

ENOUGH = 3  # micro-batches that are counted; counting slows them


class TrainFlops(TrainerCallback, ExportableState):
    """Count the floating-point operations of the forward and backward passes of one process.

    Operations are counted in the first few micro-batches. Operations per padded column hardly differ between
    micro-batches, so the total follows from the number of columns that training has processed.
    """

    def __init__(self) -> None:
        self.num_flops = 0
        self.num_counted_columns = 0
        self.num_columns = 0
        self._num_counted = 0

    @contextmanager
    def watching(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Record the size of one micro-batch, and count its operations unless enough were counted."""
        num_columns = count_columns(inputs)
        self.num_columns += num_columns
        if self._num_counted >= ENOUGH:
            yield
            return
        with FlopCounter() as counter:
            yield
        self._num_counted += 1
        self.num_flops += counter.num_flops
        self.num_counted_columns += num_columns

    def result(self) -> float | None:
        """Return the operations of all micro-batches; None if nothing was trained."""
        return self.num_flops * self.num_columns / self.num_counted_columns if self.num_counted_columns else None

    def state(self) -> dict[str, Any]:
        """Return the state that checkpoints save."""
        kept = ("num_flops", "num_counted_columns", "num_columns", "_num_counted")
        return {"args": {}, "attributes": {name: getattr(self, name) for name in kept}}
