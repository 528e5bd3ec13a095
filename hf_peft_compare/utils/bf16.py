"""Where training in bf16 is faster: on GPUs that have it, and on processors that have it, for wide models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from hf_peft_compare.config.schema import RunConfig

# Narrower models gain nothing on a processor. With AMX and one thread, steps of a base of width 576 took 1.6 (LoRA)
# and 1.8 (full) times less processor time in bf16; of width 384, 0.9 and 1.1; of width 128, 1.1 and 1.1.
MIN_WIDTH_ON_CPU = 512


def trains_in_bf16(config: RunConfig, architecture: Callable[[], Any], *, native: bool, cuda: bool) -> bool:
    """Return whether a run trains in bf16: the configured value, or else whether that is faster on a device.

    Args:
        architecture: loads the base model's config.
        native: whether the device has bf16; cuda: whether it is a GPU.
    """
    if config.training.bf16 is not None or not config.method_type.uses_model:
        return bool(config.training.bf16)
    return native and bf16_pays(architecture(), cuda=cuda)


def cpu_has_bf16() -> bool:
    """Return whether this processor multiplies bf16 matrices in hardware (AVX512-BF16 or AMX)."""
    flags = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(flag() for flag in flags if flag is not None)


def bf16_pays(architecture: Any, *, cuda: bool) -> bool:
    """Return whether a base trains faster in bf16 on a device that has it.

    Args:
        architecture: the base model's config.
    """
    return cuda or getattr(architecture.get_text_config(), "hidden_size", 0) >= MIN_WIDTH_ON_CPU
