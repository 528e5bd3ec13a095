"""Batches: examples of similar length together, padded so that what is predicted from stands at one end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from hf_peft_compare.core.task import Features

Batch: TypeAlias = dict[str, Any]  # tensors by the name of the model's argument, and what else it takes


class CompletionCollator:
    """Pad encoded examples to one batch in which only completions are labelled.

    The completion is the right end of every row, so labels and logits are kept for the last K columns alone: the LM
    head is computed only where there are labels. The first kept column is never a label; it predicts the first one.

    Returns:
        input_ids, attention_mask [B, T]; labels [B, K], -100 where nothing is scored; logits_to_keep = K; and
        trunk_states [B, W, H] where the examples bring them.
    """

    def __init__(self, *, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, features: Sequence[Features]) -> Batch:
        width = max(len(f["input_ids"]) for f in features)
        kept = max(f["num_completion_tokens"] for f in features) + 1
        input_ids, attention_mask = pad_left([f["input_ids"] for f in features], pad_token_id=self.pad_token_id)
        labels = input_ids[:, width - kept :].clone()
        for row, f in enumerate(features):
            labels[row, : kept - f["num_completion_tokens"]] = -100
        batch: Batch = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "logits_to_keep": kept,
        }
        if "trunk_states" in features[0]:
            batch["trunk_states"] = pad_states([f["trunk_states"] for f in features], side="left")
        return batch


class ClassificationCollator:
    """Pad encoded examples to one batch with a class label each.

    Returns:
        input_ids, attention_mask [B, T], and token_type_ids [B, T] where the tokenizer has them; labels [B], -100 where
        the class is not known; and, where the examples bring them, images, a path of each, and trunk_states [B, W, H].
    """

    def __init__(self, *, pad_token_id: int, padding_side: str):
        self.pad_token_id = pad_token_id
        self.padding_side = padding_side

    def __call__(self, features: Sequence[Features]) -> Batch:
        side = self.padding_side
        input_ids, attention_mask = pad([f["input_ids"] for f in features], pad_token_id=self.pad_token_id, side=side)
        batch: Batch = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": torch.tensor([f["label"] for f in features]),
        }
        if "token_type_ids" in features[0]:
            batch["token_type_ids"], _ = pad([f["token_type_ids"] for f in features], pad_token_id=0, side=side)
        if "image" in features[0]:
            batch["images"] = [f["image"] for f in features]
        if "trunk_states" in features[0]:
            batch["trunk_states"] = pad_states([f["trunk_states"] for f in features], side=side)
        return batch


def pad_left(rows: Sequence[Sequence[int]], *, pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Pad token lists on the left to input_ids and attention_mask [B, T]."""
    return pad(rows, pad_token_id=pad_token_id, side="left")


def pad(rows: Sequence[Sequence[int]], *, pad_token_id: int, side: str) -> tuple[Tensor, Tensor]:
    """Pad token lists on one side to input_ids and attention_mask [B, T]."""
    width = max(map(len, rows))
    input_ids = torch.full((len(rows), width), pad_token_id)
    attention_mask = torch.zeros(len(rows), width, dtype=torch.long)
    for row, ids in enumerate(rows):
        columns = _columns(len(ids), width, side)
        input_ids[row, columns] = torch.tensor(ids)
        attention_mask[row, columns] = 1
    return input_ids, attention_mask


def pad_states(states: Sequence[Tensor], *, side: str) -> Tensor:
    """Pad states [number of states, H] on one side with zeros to one tensor [B, W, H]."""
    width = max(len(s) for s in states)
    padded = states[0].new_zeros(len(states), width, states[0].shape[-1])
    for row, s in enumerate(states):
        padded[row, _columns(len(s), width, side)] = s
    return padded


def _columns(num: int, width: int, side: str) -> slice:
    """Give the columns of a padded row that are no padding."""
    return slice(width - num, width) if side == "left" else slice(num)


def to_device(batch: Mapping[str, object], device: torch.device) -> dict[str, Any]:
    """Move a batch's tensors to a device; its other values stay as they are."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
