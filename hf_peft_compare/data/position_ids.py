"""Position ids computed from the attention mask, so that padding never changes a score."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from torch import Tensor, nn


def positions_from_mask(attention_mask: Tensor, num_tokens: int) -> Tensor:
    """Return the position ids [B, num_tokens] of the last columns of a mask [B, T], counting only unmasked tokens.

    Padding gets position 0 or that of its left neighbour, which nothing attends to.
    """
    return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, -num_tokens:]


def counts_positions(base: nn.Module) -> bool:
    """Whether a model computes missing position ids from the mask."""
    return hasattr(base.forward, "counts_positions")


def count_positions_from_mask(base: nn.Module) -> None:
    """Patch a decoder's `forward` to compute missing position ids from the attention mask.

    transformers' models count padding as positions, and peft's prompt learning drops the position ids it receives: a
    left-padded row then differs from the same row unpadded. The patch fixes both, in the same way for every method.
    Models without position ids (ALiBi) are unchanged.
    """
    names = list(inspect.signature(base.forward).parameters)
    if "position_ids" not in names:
        return
    forward = base.forward

    @functools.wraps(forward)
    def with_positions(*args: object, **kwargs: object) -> Any:
        return forward(**_fill_positions({**dict(zip(names, args, strict=False)), **kwargs}))

    with_positions.counts_positions = True  # type: ignore[attr-defined]
    base.forward = with_positions  # not a hook: older releases of peft call `forward` directly, which skips hooks


def _fill_positions(inputs: dict[str, Any]) -> dict[str, Any]:
    mask = inputs.get("attention_mask")
    tokens = inputs.get("inputs_embeds") if inputs.get("inputs_embeds") is not None else inputs.get("input_ids")
    if inputs.get("position_ids") is None and tokens is not None and mask is not None and mask.ndim == 2:
        inputs["position_ids"] = positions_from_mask(mask, tokens.shape[1])
    return inputs
