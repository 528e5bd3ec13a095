"""Quantized base models: loading with bitsandbytes, the choice of quantized layers, and dequantization."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.frozen_trunk import head_modules
from hf_peft_compare.utils.distributed import process_state

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BLOCK = 64  # weights that share a scale


def quantization_of(config: StudyProtocol) -> dict[str, Any] | None:
    """Return the fields of the quantization config that a run's method requires; None without one, or for a study."""
    if not isinstance(config, RunConfig):
        return None
    return config.method_type.quantization(config.method_settings)


def check_installed(config: StudyProtocol) -> None:
    """Raise UserError if a run needs bitsandbytes and it is not installed."""
    if quantization_of(config) is not None and importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            'a quantized base needs bitsandbytes, which is not installed; run pip install "hf_peft_compare[qlora]".'
        )


def loading_arguments(quantization: Mapping[str, Any], on_meta: Any) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` that load a quantized base on this process's device.

    Args:
        on_meta: the base on the meta device; its head is not quantized nor, in 4 bits, layers without whole blocks.
    """
    from transformers import BitsAndBytesConfig

    heads = head_modules(on_meta)
    kept = [name for name, module in on_meta.named_modules() if module in heads]
    if quantization.get("load_in_8bit"):
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of float32 inputs at every product
        fields = dict(quantization)
    else:
        kept += [name for name, layer in linear_layers(on_meta) if not has_whole_blocks(layer)]
        fields = {"bnb_4bit_compute_dtype": _compute_dtype(), **quantization}
    return {
        "quantization_config": BitsAndBytesConfig(
            **{key: value for key, value in fields.items() if key != "quant_method"},
            llm_int8_skip_modules=kept,
        ),
        "device_map": {"": process_state().device},
    }


def _compute_dtype() -> str:
    half = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if half else "float32"


def linear_layers(base: Any) -> Iterator[tuple[str, nn.Module]]:
    """Yield the linear layers of a base by name, except those of its head and those that its class keeps in float32.

    transformers does not quantize the latter, such as the second layer of T5's MLPs.
    """
    from transformers.pytorch_utils import Conv1D

    in_float32 = set(getattr(base, "_keep_in_fp32_modules", None) or ())

    head = {module for part in head_modules(base) for module in part.modules()}
    for name, module in base.named_modules():
        if isinstance(module, (nn.Linear, Conv1D)) and module not in head and in_float32.isdisjoint(name.split(".")):
            yield name, module


def has_whole_blocks(layer: Any) -> bool:
    """Return whether each weight row of a layer consists of whole blocks, so that no block spans two rows.

    On a CPU with AVX-512, bitsandbytes dequantizes a block that spans two rows incorrectly (0.50: rows of 32 or
    96 weights, not of 64 or 128).
    """
    return num_inputs(layer) % BLOCK == 0


def num_inputs(layer: Any) -> int:
    """Return the number of inputs of a linear layer, or of GPT-2's kind of it."""
    return int(layer.nx if hasattr(layer, "nx") else layer.in_features)


def check_packable(base: PreTrainedModel) -> None:
    """Raise UserError if no layer of a base can be quantized."""
    if not any(has_whole_blocks(layer) for _, layer in linear_layers(base)):
        raise UserError(
            f"{type(base).__name__} has no linear layer whose number of inputs is a multiple of {BLOCK}, so no layer "
            f"can be stored in 4 bits; use lora instead of qlora."
        )


def keep_layout(base: nn.Module) -> None:
    """Prevent 4-bit layers from repacking their weights in their first evaluation on a CPU with AVX-512.

    Products in that layout are computed in bfloat16 without gradients, but training continues after an evaluation.
    """
    for module in base.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def unpack(base: Any) -> Any:
    """Return a quantized base dequantized, with each layer of the class it had before quantization."""
    from transformers.pytorch_utils import Conv1D

    kinds = {name: getattr(module, "source_cls", None) for name, module in base.named_modules()}
    base = base.dequantize()
    for name, kind in kinds.items():
        if kind is Conv1D:
            base.set_submodule(name, _conv1d(base.get_submodule(name)))
    return base


def _conv1d(linear: nn.Linear) -> nn.Module:
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        layer = Conv1D(linear.out_features, linear.in_features)
    layer.weight, layer.bias = nn.Parameter(linear.weight.T.contiguous()), linear.bias
    return layer
