"""Name, count, hash, save and load the trainable parameters of a model.

Only trained parameters are saved: they are small, and a model with shared tensors cannot be saved as a whole.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from hf_peft_compare.utils.files import atomic_path
from hf_peft_compare.utils.sharding import copy_whole, reshard, whole


def named_trainables(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that require gradients by name, each once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Return the numbers of trainable and of all parameters; shared ones count once, quantized ones unpacked."""
    parameters = list(model.parameters())
    return {
        "trainable_params": sum(_num_numbers(p) for p in parameters if p.requires_grad),
        "total_params": sum(_num_numbers(p) for p in parameters),
    }


def _num_numbers(parameter: nn.Parameter) -> int:
    if type(parameter).__name__ == "Params4bit":  # bitsandbytes packs two 4-bit numbers into each byte
        return parameter.numel() * 2 * parameter.element_size()
    return parameter.numel()


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """Return a hash of the names, dtypes, shapes and bits of the tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = whole(tensors[name].detach()).cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def hash_trainables(model: nn.Module) -> str:
    """Return a hash of the trainable parameters; equal hashes mean bit-identical weights."""
    reshard(model)
    return hash_tensors(dict(named_trainables(model)))


def save_trainables(model: nn.Module, path: Path, *, writes: bool = True) -> None:
    """Write the trainable parameters as safetensors, atomically.

    Args:
        writes: whether this process writes the file; all processes must call this function, and one writes.
    """
    from safetensors.torch import save_file

    reshard(model)
    tensors = {}
    for name, parameter in named_trainables(model).items():
        value = whole(parameter.detach())
        if writes:  # others free it: only one process needs memory for all parameters
            tensors[name] = value.cpu().contiguous()
    if not writes:
        return
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


@torch.no_grad()
def load_trainables(model: nn.Module, path: Path) -> None:
    """Load saved values into the trainable parameters of the same names.

    Raises:
        ValueError: names or shapes differ.
    """
    from safetensors.torch import load_file

    saved, parameters = load_file(path), named_trainables(model)
    if set(saved) != set(parameters):
        differing = sorted(set(saved) ^ set(parameters))[:5]
        raise ValueError(f"{path} and the trainable parameters of the model differ in: {differing} …")
    reshard(model)
    for name, parameter in named_trainables(model).items():
        copy_whole(parameter, saved[name])
