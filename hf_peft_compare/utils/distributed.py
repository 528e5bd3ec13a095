"""The processes of one run: one, or as many as `accelerate launch` has started."""

from __future__ import annotations

import os

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, parse_flag_from_env

from hf_peft_compare.core.errors import UserError


def process_state() -> PartialState:
    """Return accelerate's state of this process; the first call connects it to the other processes.

    Without an accelerator the CPU has to be requested explicitly, or each process assumes that it is the only one.
    """
    state = PartialState(cpu=on_cpu())
    if state.distributed_type is DistributedType.MULTI_CPU and asks_for_sharding():
        # accelerate enables FSDP only on GPUs; on CPUs, which torch supports too, it would silently replicate
        state._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return state


def on_cpu() -> bool:
    """Return whether there is no CUDA, MPS or other accelerator."""
    return not torch.accelerator.is_available()


def asks_for_sharding() -> bool:
    """Return whether `accelerate launch` is configured to shard the parameters over its processes.

    Raises:
        UserError: the sharding keeps no named parameters, as with FSDP 1 and DeepSpeed's ZeRO-3.
    """
    if os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3":
        raise UserError(
            "DeepSpeed's ZeRO-3 leaves parameters empty between steps, so they cannot be hashed, saved or "
            "restored. Use the fsdp config, which shards parameters too, or zero_stage: 2."
        )
    if not parse_flag_from_env("ACCELERATE_USE_FSDP"):
        return False
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise UserError("FSDP 1 flattens parameters, so they cannot be hashed and saved by name; set fsdp_version: 2.")
    return True
