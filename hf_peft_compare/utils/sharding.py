"""Parameters sharded over the processes of a run (FSDP), and gathering them where complete values are needed.

All processes must call these functions together: gathering a parameter needs the shard of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from accelerate.utils import fsdp2_prepare_model
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from hf_peft_compare.utils.distributed import on_cpu

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def is_sharded(model: nn.Module) -> bool:
    """Return whether each process holds a shard of the parameters, so that all must run every forward pass together."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


def shard(model: PreTrainedModel) -> None:
    """Shard a model that is not trained over the processes, as the Trainer does with a model that is trained."""
    fsdp2_prepare_model(Accelerator(cpu=on_cpu()), model)
    register_fsdp_forward_method(model, "generate")


def reshard(model: nn.Module) -> None:
    """Free parameters that a forward pass has left gathered, such as the head: only shards are read and written."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def part(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return the full tensor, gathered to every process."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def copy_whole(tensor: Tensor, value: Tensor) -> None:
    """Copy a full value, available on every process, into a tensor."""
    if isinstance(tensor, DTensor):
        value = distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements, src_data_rank=None)
    tensor.copy_(value)
