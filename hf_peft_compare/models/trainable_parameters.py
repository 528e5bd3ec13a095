"""The trainable parameters of a model: named, counted, hashed, saved and loaded.

Only what is trained is ever saved: it is small, and a model with shared tensors cannot be saved whole.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from hf_peft_compare.utils.sharding import copy_whole, reshard, whole


def named_trainables(model: nn.Module) -> dict[str, nn.Parameter]:
    """Give the parameters that require gradients by name, each once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Count trainable and all parameters, shared ones once and quantized ones as the numbers they stand for."""
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
    """Hash names, types and every bit of the tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = whole(tensors[name].detach()).cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def hash_trainables(model: nn.Module) -> str:
    """Hash the trainable parameters, so that equal hashes mean equal weights bit for bit."""
    reshard(model)
    return hash_tensors(dict(named_trainables(model)))


def save_trainables(model: nn.Module, path: Path, *, writes: bool = True) -> None:
    """Write the trainable parameters as safetensors, whole or not at all.

    Args:
        writes: whether this process writes the file; of several, all take part and one writes.
    """
    from safetensors.torch import save_file

    reshard(model)
    tensors = {}
    for name, parameter in named_trainables(model).items():
        value = whole(parameter.detach())
        if writes:  # the others let go of it: only one process has to have room for all
            tensors[name] = value.cpu().contiguous()
    if not writes:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    save_file(tensors, temporary, metadata={"format": "pt"})
    temporary.replace(path)


@torch.no_grad()
def load_trainables(model: nn.Module, path: Path) -> None:
    """Copy saved values into the trainable parameters of the same names.

    Raises:
        ValueError: names or shapes differ.
    """
    from safetensors.torch import load_file

    saved, parameters = load_file(path), named_trainables(model)
    if set(saved) != set(parameters):
        differing = sorted(set(saved) ^ set(parameters))[:5]
        raise ValueError(f"{path} holds other parameters than the model trains: {differing} …")
    reshard(model)
    for name, parameter in named_trainables(model).items():
        copy_whole(parameter, saved[name])
