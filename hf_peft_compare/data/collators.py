"""Collators: pad encoded examples to batches, on the side that the head does not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from hf_peft_compare.core.task import Features
from hf_peft_compare.data.completions import prompt_of

Batch: TypeAlias = dict[str, Any]  # tensors and other values, by the name of the model's argument


class CompletionCollator:
    """Pad encoded examples to one batch in which only completions are labeled.

    The completion is at the right end of every row, so labels and logits are kept for the last K columns only: the LM
    head is computed only for columns with labels. The first kept column has no label; it predicts the first label.
    Tokens that a row's `loss_mask` leaves out, such as the user's turns between the assistant's, have none either.

    Returns:
        input_ids, attention_mask [B, T]; labels [B, K], -100 where nothing is scored; logits_to_keep = K; and
        trunk_states [B, W, H] if the examples have them.
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
            if "loss_mask" in f:
                mask = torch.tensor(f["loss_mask"], dtype=torch.bool)
                labels[row, kept - f["num_completion_tokens"] :][~mask] = -100
        batch: Batch = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "logits_to_keep": kept,
        }
        if "trunk_states" in features[0]:
            batch["trunk_states"] = pad_states([f["trunk_states"] for f in features], side="left")
        return batch


class EncoderDecoderCollator:
    """Pad encoded examples to one batch for an encoder-decoder: prompts for the encoder, completions as labels.

    The model makes the decoder's input of the labels: each token is predicted from the ones before it.

    Returns:
        input_ids, attention_mask [B, T] of the prompts; labels [B, K], -100 where nothing is scored.
    """

    def __init__(self, *, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, features: Sequence[Features]) -> Batch:
        prompts = [prompt_of(f) for f in features]
        completions = [f["input_ids"][len(prompt) :] for f, prompt in zip(features, prompts, strict=True)]
        input_ids, attention_mask = pad(prompts, pad_token_id=self.pad_token_id, side="right")
        labels, _ = pad(completions, pad_token_id=-100, side="right")
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


class ClassificationCollator:
    """Pad encoded examples to one batch, with one class label per example.

    Returns:
        input_ids, attention_mask [B, T], and token_type_ids [B, T] if the tokenizer has them; labels [B], -100 if the
        class is unknown; and, if the examples have them, images, a list of paths, and trunk_states [B, W, H].
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


def count_columns(batch: Mapping[str, Tensor]) -> int:
    """Return the number of columns of all rows that a model computes, padding included.

    Above a frozen trunk these are its states; an encoder-decoder computes those of prompts and of completions.
    """
    read = batch.get("trunk_states", batch["input_ids"])
    labels = batch.get("labels")
    if labels is None or labels.ndim == 1 or "logits_to_keep" in batch:
        return int(read.shape[0] * read.shape[1])
    return int(read.shape[0] * read.shape[1] + labels.numel())


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
    """Return the columns of a padded row that are not padding."""
    return slice(width - num, width) if side == "left" else slice(num)


def to_device(batch: Mapping[str, object], device: torch.device) -> dict[str, Any]:
    """Move the tensors of a batch to a device; other values are unchanged."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
