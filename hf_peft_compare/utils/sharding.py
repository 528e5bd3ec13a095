"""Parameters that are spread over the processes of a run (FSDP): whole again where someone has to see them.

Every process must call these together: a parameter is whole only when each has given its part.
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
    """Whether each process holds a part of the parameters, so that all must run every forward pass together."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


def shard(model: PreTrainedModel) -> None:
    """Spread a model that is not trained over the processes, as the Trainer does with one that is."""
    fsdp2_prepare_model(Accelerator(cpu=on_cpu()), model)
    register_fsdp_forward_method(model, "generate")


def reshard(model: nn.Module) -> None:
    """Let go of what a forward pass has left whole, such as the head: what is read and written are the parts."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def part(tensor: Tensor) -> Tensor:
    """Give what this process holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Give the whole tensor, to every process."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def copy_whole(tensor: Tensor, value: Tensor) -> None:
    """Copy a whole value, which every process has, into a tensor."""
    if isinstance(tensor, DTensor):
        value = distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements, src_data_rank=None)
    tensor.copy_(value)
