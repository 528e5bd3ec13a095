"""Muon beside AdamW: on a small GPT-2 copying then appears after about 500 steps, where AdamW alone needs thousands.

Muon (Jordan 2024) moves a weight matrix along its orthogonalized momentum. Written out here because torch's own runs
in bfloat16, which is five times slower on a CPU without such arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration in Jordan 2024


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized per square block, for the matrices inside the transformer's blocks."""

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.05
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update all parameters with a gradient."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._update(param, group)

    def _update(self, param: nn.Parameter, group: dict[str, Any]) -> None:
        momentum = self.state[param].setdefault("momentum", torch.zeros_like(param))
        momentum.mul_(group["momentum"]).add_(param.grad)
        direction = param.grad + group["momentum"] * momentum
        param.mul_(1 - group["lr"] * group["weight_decay"]).sub_(orthogonalized_blocks(direction), alpha=group["lr"])


def orthogonalized_blocks(matrix: torch.Tensor) -> torch.Tensor:
    """Orthogonalize [I, O] -> [I, O]; a fused query-key-value matrix, O = 3 I, is treated as three matrices."""
    inputs, outputs = matrix.shape
    blocks = matrix.split(inputs, dim=1) if outputs == 3 * inputs else (matrix,)
    # Scaled so that an update is about as large as AdamW's, and learning rates mean the same for both.
    return torch.cat([orthogonalized(block) * (0.2 * max(block.shape) ** 0.5) for block in blocks], dim=1)


def orthogonalized(matrix: torch.Tensor, *, num_iterations: int = 5) -> torch.Tensor:
    """Return approximately the nearest matrix with all singular values near one (they end between .7 and 1.2)."""
    a, b, c = _COEFFICIENTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(num_iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
