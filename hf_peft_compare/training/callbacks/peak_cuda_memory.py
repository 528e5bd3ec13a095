"""Peak CUDA memory of training and of evaluation, above the memory allocated before the run."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.training.callbacks.phases import EVALUATION, TRAIN, PhaseCallback


class PeakCudaMemory(PhaseCallback):
    """Record the peaks of allocated and reserved CUDA memory of each phase, in bytes.

    | key                                         | what it is                                              |
    |---------------------------------------------|---------------------------------------------------------|
    | baseline_bytes                              | allocated before the run loaded anything                |
    | {train,evaluation}_peak_allocated_bytes     | peak memory of tensors, above the baseline              |
    | {train,evaluation}_peak_reserved_bytes      | peak memory of the allocator, above the baseline        |
    | allocated_after_training_bytes              | memory of tensors when training has ended, above it     |

    All values are None without CUDA. A phase's peak includes everything loaded during it, above all the model.
    """

    def __init__(self) -> None:
        self.available = torch.cuda.is_available()
        self.baseline_bytes = torch.cuda.memory_allocated() if self.available else None
        self.peaks: dict[str, int] = {}
        self.after_training_bytes: int | None = None
        self._phase: str | None = None

    def enter(self, phase: str | None) -> None:
        """Store the peaks of the phase that ends, and reset them."""
        if not self.available:
            return
        if self._phase in (TRAIN, EVALUATION):
            self._keep(f"{self._phase}_peak_allocated_bytes", torch.cuda.max_memory_allocated())
            self._keep(f"{self._phase}_peak_reserved_bytes", torch.cuda.max_memory_reserved())
        torch.cuda.reset_peak_memory_stats()
        self._phase = phase

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Store what is allocated at the end: model, optimizer state, and what is still cached."""
        super().on_train_end(args, state, control, **kwargs)
        if self.available:
            self.after_training_bytes = torch.cuda.memory_allocated() - (self.baseline_bytes or 0)

    def _keep(self, key: str, peak_bytes: int) -> None:
        self.peaks[key] = max(self.peaks.get(key, 0), peak_bytes - (self.baseline_bytes or 0))

    def forget(self) -> None:
        """Reset, after an attempt that ran out of memory."""
        self.enter(None)
        self.peaks.clear()

    def results(self) -> dict[str, int | None]:
        """Return every key of the table above."""
        keys = [f"{phase}_peak_{kind}_bytes" for phase in (TRAIN, EVALUATION) for kind in ("allocated", "reserved")]
        return {
            "baseline_bytes": self.baseline_bytes,
            **{key: self.peaks.get(key) for key in keys},
            "allocated_after_training_bytes": self.after_training_bytes,
        }

    def state(self) -> dict[str, Any]:
        """Return the state that checkpoints save: the peaks so far."""
        self.enter(self._phase)
        return {"args": {}, "attributes": {"peaks": dict(self.peaks)}}
