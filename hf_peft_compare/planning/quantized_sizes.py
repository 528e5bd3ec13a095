"""The stored sizes of quantized base models, whose weights are unpacked on the meta device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from torch import Tensor

from hf_peft_compare.models.heads import base_of
from hf_peft_compare.models.quantization import BLOCK, has_whole_blocks, linear_layers, num_inputs

# bitsandbytes stores a float32 scale per output in 8 bits, and in 4 bits one per block of weights; double quantization
# reduces that to a byte, plus a float32 per 256 scales, their offset, and a table of the 256 values of a byte. Every
# layer has its own table of the 4-bit values.
NESTED_BLOCK = 256
TABLE_BYTES, NESTED_TABLE_BYTES = 4 * 16, 4 * (256 + 1)


def quantized_weights(model: Any) -> Iterator[tuple[Tensor, int]]:
    """Yield the weights that the model's `quantization_config` packs, with their packed size in bytes.

    Frozen linear layers are packed, except for the head and, in 4 bits, layers that do not divide into whole blocks.
    """
    settings = getattr(model.config, "quantization_config", None)
    if settings is None:
        return
    settings = settings if isinstance(settings, dict) else settings.to_dict()
    for _, layer in linear_layers(base_of(model)):
        weight: Any = layer.weight
        if not weight.requires_grad and (has_whole_blocks(layer) or not settings.get("load_in_4bit")):
            yield weight, packed_bytes(weight.numel(), weight.numel() // num_inputs(layer), settings)


def packed_bytes(num_weights: int, num_outputs: int, settings: Mapping[str, Any]) -> int:
    """Return the packed size of a layer's weights in bytes, including the scales that bitsandbytes stores."""
    if settings.get("load_in_8bit"):
        return num_weights + 4 * num_outputs
    if not settings.get("load_in_4bit"):
        return ceil(num_weights * (settings.get("bits") or settings.get("w_bit") or 8) / 8)
    num_scales = ceil(num_weights / BLOCK)
    if settings.get("bnb_4bit_use_double_quant"):
        scales = num_scales + 4 * ceil(num_scales / NESTED_BLOCK) + NESTED_TABLE_BYTES
    else:
        scales = 4 * num_scales
    return ceil(num_weights / 2) + scales + TABLE_BYTES
