"""Emulate a device's kernels on PyTorch's meta device, on which steps are traced.

On the meta device attention falls back to plain matrix products that keep all [T, T] scores, dropout keeps a float
mask, and there is no autocast. A trace of a step therefore replaces these calls with those of the planned device.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# torch.autocast on CUDA: operations cast to 16 bits or to float32 (PyTorch documentation, "Autocast op reference").
IN_HALF = frozenset(
    "__matmul__ __rmatmul__ addbmm addmm addmv addr baddbmm bmm conv1d conv2d conv3d conv_transpose1d conv_transpose2d "
    "conv_transpose3d einsum linear matmul mm mv prelu scaled_dot_product_attention".split()
)
IN_FLOAT = frozenset(
    "__pow__ __rpow__ __rdiv__ __rtruediv__ acos asin binary_cross_entropy_with_logits cdist cosh cosine_similarity "
    "cross_entropy cumprod cumsum dist erfinv exp expm1 group_norm kl_div l1_loss layer_norm log log10 log1p log2 "
    "log_softmax mse_loss nll_loss norm normalize pow prod reciprocal rsqrt sinh smooth_l1_loss softmax softmin "
    "softplus sum tan".split()
)

IN_FLOAT_ON_CPU = frozenset(  # the same reference; the other operations take their inputs as they come
    "binary_cross_entropy_with_logits cdist cross_entropy kl_div l1_loss mse_loss nll_loss prod".split()
)


class Kernels(TorchFunctionMode):
    """Make calls on the meta device use the memory and the operations that they use on another device.

    The truth value of a meta tensor is unknown and assumed false: a padding mask is not all ones, so it is used.

    Args:
        cuda: the device is a GPU, whose fused attention and dropout keep no probabilities.
        bf16: training uses the device's autocast to bfloat16.
        packed: the ids of the weights that are stored in few bits.
    """

    def __init__(self, *, cuda: bool, bf16: bool, packed: Container[int] = ()):
        super().__init__()
        self.cuda = cuda
        self.bf16 = bf16
        self.packed = packed
        self._cast: dict[int, tuple[Tensor, Tensor]] = {}  # trained weights are cast once per pass, as in autocast

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Handle a call of a torch function."""
        kwargs = kwargs or {}
        if func is Tensor.__bool__:
            return False
        if func in (functional.linear, torch.addmm) and any(id(value) in self.packed for value in args):
            x, weight, bias = args if func is functional.linear else (args[1], args[2].t(), args[0])  # GPT-2's layers
            return PackedProduct.apply(x, weight, bias, torch.bfloat16 if self.bf16 else torch.float32)
        if self.bf16:
            args, kwargs = self._autocast(getattr(func, "__name__", ""), args, kwargs)
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        if func is functional.dropout and self.cuda:
            return fused_dropout(*args, **kwargs)
        return func(*args, **kwargs)

    def _autocast(self, name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
        if name not in IN_HALF and name not in (IN_FLOAT if self.cuda else IN_FLOAT_ON_CPU):
            return args, kwargs
        cast: Callable[[Any], Any] = self._half if name in IN_HALF else _float
        return tuple(map(cast, args)), {key: cast(value) for key, value in kwargs.items()}

    def _half(self, value: object) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not (value.is_leaf and value.requires_grad):
            return value.to(torch.bfloat16)
        if id(value) not in self._cast:
            self._cast[id(value)] = value, value.to(torch.bfloat16)
        return self._cast[id(value)][1]

    def forget(self) -> None:
        """End a forward pass: weights are cast again in the next one."""
        self._cast.clear()

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if enable_gqa:
            num_shared = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(num_shared, dim=1), value.repeat_interleave(num_shared, dim=1)
        if query.ndim != 4 or (dropout_p and not self.cuda):  # the CPU's fused kernel has no dropout
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale
            )
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            zero = torch.zeros((), dtype=query.dtype, device=query.device)
            attn_mask = torch.where(attn_mask, zero, float("-inf"))
        if not self.cuda:
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale
            )[0]
        if attn_mask is not None:
            attn_mask = attn_mask.expand(*query.shape[:3], key.shape[2])
        return torch.ops.aten._scaled_dot_product_efficient_attention(
            query, key, value, attn_mask, torch.is_grad_enabled(), dropout_p, is_causal, scale=scale
        )[0]


class PackedProduct(torch.autograd.Function):
    """The product of bitsandbytes' layers: weights are unpacked for each pass, and nothing is kept for the backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
        """Return the product, computed in `dtype`, in the input's own dtype."""
        ctx.weight, ctx.dtype = weight, dtype
        bias = None if bias is None else bias.to(dtype)
        return functional.linear(x.to(dtype), weight.to(dtype, copy=True), bias).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Return the gradient of the input."""
        (gradient,) = gradients
        return (gradient.to(ctx.dtype) @ ctx.weight.to(ctx.dtype, copy=True)).to(gradient.dtype), None, None, None


def fused_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Apply dropout as CUDA does: one byte per element is kept for the backward pass."""
    return torch.native_dropout(input, p, True)[0] if training and p > 0 else input


def _float(value: object) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.bfloat16 else value
