"""Where training in bf16 is faster: on GPUs that have it, and on processors that have it, for wide models."""

from __future__ import annotations

from typing import Any

import torch

# Narrower models gain nothing on a processor. With AMX and one thread, steps of a base of width 576 took 1.6 (LoRA)
# and 1.8 (full) times less processor time in bf16; of width 384, 0.9 and 1.1; of width 128, 1.1 and 1.1.
MIN_WIDTH_ON_CPU = 512


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
