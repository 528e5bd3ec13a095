"""Batches: examples of similar length together, padded so that what is predicted from stands at one end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

CHUNKS_SORTED_TOGETHER = 50  # as in transformers' LengthGroupedSampler


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

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Any]:
        width = max(len(f["input_ids"]) for f in features)
        kept = max(f["num_completion_tokens"] for f in features) + 1
        input_ids, attention_mask = pad_left([f["input_ids"] for f in features], pad_token_id=self.pad_token_id)
        labels = input_ids[:, width - kept :].clone()
        for row, f in enumerate(features):
            labels[row, : kept - f["num_completion_tokens"]] = -100
        batch = {
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

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Any]:
        side = self.padding_side
        input_ids, attention_mask = pad([f["input_ids"] for f in features], pad_token_id=self.pad_token_id, side=side)
        batch: dict[str, Any] = {
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


class SimilarLengthSampler(Sampler[int]):
    """Visit examples once per epoch, in a seeded order in which each chunk has examples of similar length.

    A chunk is one effective batch: however it is split into processes and micro-batches, an optimizer step sees the
    same examples. What is left over after the last whole chunk, another few examples in each epoch, is not visited.
    The order depends on seed and epoch alone, so a resumed run sees what the first would have seen.
    (transformers' LengthGroupedSampler draws from the global generator, which a resumed run cannot replay.)

    Args:
        lengths: tokens of each example.
        chunk_size: the effective batch size.
    """

    def __init__(self, lengths: Sequence[int], *, chunk_size: int, seed: int):
        self.lengths = list(lengths)
        self.chunk_size = chunk_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        num_examples = len(self.lengths)
        return num_examples - num_examples % self.chunk_size or num_examples

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        visited = torch.randperm(len(self.lengths), generator=generator).tolist()[: len(self)]
        # With few examples in all, sorting them all together would give every epoch the same batches.
        window = self.chunk_size * max(1, min(CHUNKS_SORTED_TOGETHER, len(self) // (4 * self.chunk_size)))
        chunks: list[list[int]] = []
        for start in range(0, len(visited), window):
            by_length = sorted(visited[start : start + window], key=lambda i: -self.lengths[i])
            chunks += [by_length[i : i + self.chunk_size] for i in range(0, len(by_length), self.chunk_size)]
        order = torch.randperm(len(chunks), generator=generator).tolist()
        yield from (index for chunk in order for index in chunks[chunk])


def count_visited_tokens(sampler: SimilarLengthSampler, *, num_steps: int) -> int:
    """Count the tokens of the first optimizer steps of a run, whatever interrupted it, without asking the device.

    Virtual tokens and padding are not counted, nor is what accelerate repeats for processes that would have nothing.

    Args:
        sampler: the training sampler; each step sees one chunk of its order, and each epoch another order.
    """
    steps_per_epoch = max(len(sampler) // sampler.chunk_size, 1)
    num_tokens = 0
    for epoch in range(-(-num_steps // steps_per_epoch)):
        sampler.set_epoch(epoch)
        steps = min(steps_per_epoch, num_steps - epoch * steps_per_epoch)
        num_tokens += sum(sampler.lengths[i] for i in itertools.islice(sampler, steps * sampler.chunk_size))
    return num_tokens
