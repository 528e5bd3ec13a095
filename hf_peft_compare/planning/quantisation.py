"""Quantised base models: on the meta device their weights stand unpacked; here is what they take when stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

# bitsandbytes keeps one float32 scale per 64 weights of 4 bits, or with double quantisation about an eighth of that.
SCALE_BITS, DOUBLE_QUANTISED_SCALE_BITS = 0.5, 0.127


def quantised_weights(model: Any) -> Iterator[tuple[Tensor, int]]:
    """Give the weights that the model's `quantization_config` packs, with the bytes that they take packed.

    Packed are frozen linear layers, but never the LM head.
    """
    bits = bits_per_weight(model.config)
    head = model.get_output_embeddings()
    for module in model.modules():
        if (
            bits is not None
            and isinstance(module, nn.Linear)
            and module is not head
            and not module.weight.requires_grad
        ):
            yield module.weight, round(module.weight.numel() * bits / 8)


def bits_per_weight(config: Any) -> float | None:
    """Give the bits that a packed weight takes, its share of the scales counted; None: nothing is packed."""
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return None
    settings = settings if isinstance(settings, dict) else settings.to_dict()
    if settings.get("load_in_4bit"):
        return 4 + (DOUBLE_QUANTISED_SCALE_BITS if settings.get("bnb_4bit_use_double_quant") else SCALE_BITS)
    return settings.get("bits") or settings.get("w_bit") or 8
