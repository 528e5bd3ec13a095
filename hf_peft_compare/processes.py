"""The processes of one run: one, or as many as `accelerate launch` has started."""

from __future__ import annotations

import torch
from accelerate import PartialState


def process_state() -> PartialState:
    """Give accelerate's state of this process, which it joins to the others on the first call.

    Without an accelerator it has to be told to use the CPU, or each process takes itself for the only one.
    """
    return PartialState(cpu=on_cpu())


def on_cpu() -> bool:
    """Whether there is no CUDA, MPS or other accelerator."""
    return not torch.accelerator.is_available()
