"""Count the operations of forward and backward passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
FLOPS = {
    **flop_registry,  # lacks the CPU's fused attention
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
}


class FlopCounter(TorchDispatchMode):
    """Count the floating-point operations executed in this mode."""

    def __init__(self) -> None:
        super().__init__()
        self.num_flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Execute an operation and count it."""
        output = func(*args, **(kwargs or {}))
        self.num_flops += count_flops_of(func, args, kwargs or {}, output)
        return output


def count_flops_of(func: Any, args: Any, kwargs: Any, output: Any) -> int:
    """Return the floating-point operations of one dispatched operation; 0 if no formula is known."""
    if str(func) == "bitsandbytes.gemm_4bit.default":  # x [..., K] by packed weights of shape [N, K]
        x, _, (num_rows, _) = args[:3]
        return 2 * x.numel() * num_rows
    formula = FLOPS.get(func._overloadpacket)
    return formula(*args, **kwargs, out_val=output) if formula else 0
