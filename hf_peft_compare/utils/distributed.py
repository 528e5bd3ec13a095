"""The processes of one run: one, or as many as `accelerate launch` has started."""

from __future__ import annotations

import os

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, parse_flag_from_env

from hf_peft_compare.core.errors import UserError


def process_state() -> PartialState:
    """Give accelerate's state of this process, which it joins to the others on the first call.

    Without an accelerator it has to be told to use the CPU, or each process takes itself for the only one.
    """
    state = PartialState(cpu=on_cpu())
    if state.distributed_type is DistributedType.MULTI_CPU and asks_for_sharding():
        # accelerate looks for FSDP among GPUs alone; on CPUs, where torch has it too, it would replicate without a word
        state._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return state


def on_cpu() -> bool:
    """Whether there is no CUDA, MPS or other accelerator."""
    return not torch.accelerator.is_available()


def asks_for_sharding() -> bool:
    """Whether `accelerate launch` was told to spread the parameters over its processes.

    Raises:
        UserError: in a way that leaves no parameters by name, as FSDP 1 and DeepSpeed's ZeRO-3 do.
    """
    if os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3":
        raise UserError(
            "DeepSpeed's ZeRO-3 leaves parameters empty between steps, and they could not be hashed, saved or "
            "restored. Use the fsdp config, which spreads parameters too, or zero_stage: 2."
        )
    if not parse_flag_from_env("ACCELERATE_USE_FSDP"):
        return False
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise UserError(
            "FSDP 1 flattens parameters, which then have no names to be hashed and saved by; set fsdp_version: 2."
        )
    return True
