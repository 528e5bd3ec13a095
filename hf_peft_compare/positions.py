"""Positions that follow from the attention mask, so that padding never changes a score."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn


def positions_from_mask(attention_mask: Tensor, num_tokens: int) -> Tensor:
    """Count real tokens from the left: the position ids [B, num_tokens] of the last columns of a mask [B, T].

    Padding gets position 0 or that of its left neighbour, which nothing attends to.
    """
    return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, -num_tokens:]


def count_positions_from_mask(base: nn.Module) -> None:
    """Make a causal LM fill in missing position ids from its attention mask.

    Stock models count padding as positions, and peft's prompt learning drops the position ids it is given: a
    left-padded row then differs from the same row unpadded. A hook on the base mends both, for every method alike.
    Models without position ids (ALiBi) are left as they are.
    """
    if "position_ids" in inspect.signature(base.forward).parameters:
        base.register_forward_pre_hook(_fill_positions, with_kwargs=True)


def _fill_positions(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mask = kwargs.get("attention_mask")
    tokens = kwargs.get("inputs_embeds") if kwargs.get("inputs_embeds") is not None else kwargs.get("input_ids")
    if kwargs.get("position_ids") is None and tokens is not None and mask is not None and mask.ndim == 2:
        kwargs["position_ids"] = positions_from_mask(mask, tokens.shape[1])
    return args, kwargs
