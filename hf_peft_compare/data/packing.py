"""Packing: concatenate the texts of a micro-batch in one row, without padding and without attention between texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_peft_compare.core.task import Features
from hf_peft_compare.data.collators import CompletionCollator, to_device
from hf_peft_compare.data.position_ids import positions_from_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 1e-3  # relative to the logits' std: float32 rounding is far below it, attention between texts far above


def pack(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Pack the texts of a padded batch into one row: the same loss with fewer tokens.

    There is no attention mask, and the positions of each text begin at 0: transformers then separates the texts of a
    row (`masking_utils.find_packed_sequence_indices`), unless a key-value cache is in use. The labels of each text
    begin with -100, so the model's own shift by one never predicts a token of one text from another.

    Args:
        batch: what `CompletionCollator` returns.

    Returns:
        input_ids, position_ids [1, N] of all tokens that are not padding; labels [1, M] and logits_to_keep [M], the
        indices of the M columns that have a label or precede the first labeled column of their row.
    """
    mask, kept = batch["attention_mask"], _kept(batch["labels"])
    real, num_tokens = mask.bool(), mask.shape[1]
    places = nn.functional.pad(kept, (num_tokens - kept.shape[1], 0))  # [B, T]
    return {
        "input_ids": batch["input_ids"][real][None],
        "position_ids": positions_from_mask(mask, num_tokens)[real][None],
        "labels": batch["labels"][kept][None],
        "logits_to_keep": places[real].nonzero()[:, 0],
        "use_cache": False,
    }


@torch.no_grad()
def can_pack(model: PreTrainedModel, rows: Sequence[Features], *, pad_token_id: int) -> bool:
    """Return whether the model computes the same logits for encoded examples when packed as when padded."""
    batch = to_device(CompletionCollator(pad_token_id=pad_token_id)(rows), model.device)
    model.eval()
    try:
        expected = model(**batch).logits[:, -batch["labels"].shape[1] :][_kept(batch["labels"])]  # [M, V]
        logits = model(**pack(batch)).logits[0]
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ):  # an architecture without position ids, or that does not support packed rows
        return False
    return bool((logits - expected).abs().max() <= TOLERANCE * expected.std())


def _kept(labels: Tensor) -> Tensor:
    """Return a mask [B, K] of the labeled columns of each row and the column before them."""
    labeled = labels != -100
    return labeled | nn.functional.pad(labeled[:, 1:], (0, 1))
