"""Batches of similar length, each item on exactly one process; halved when CUDA runs out of memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from accelerate.utils import gather_object

from hf_peft_compare.utils.distributed import process_state

T = TypeVar("T")


def map_batches(
    function: Callable[[list[Any]], list[T]],
    items: Sequence[Any],
    *,
    lengths: Sequence[int],
    num_logits: Sequence[int] | None = None,
    batch_size: int,
    together: bool = False,
) -> list[T]:
    """Apply a function to all items in batches of similar length, each item on exactly one process.

    A score does not depend on its batch. CUDA out of memory halves the batch and all that follow.

    Args:
        lengths: number of tokens of each item.
        num_logits: number of columns of logits of each item; None: ignored.
        batch_size: number of items of the largest length and number of logits in a batch; a batch of smaller items has
            more, as long as rows × columns, padding included, do not exceed it.
        together: whether every process must call the function equally often, as sharded models require; a process
            without an item of its own then repeats one, and no batch can be halved.

    Returns:
        One result per item, in the items' order, on every process.
    """
    state = process_state()
    sizes = _relative_sizes(lengths, num_logits or lengths)
    order = sorted(range(len(items)), key=lambda i: -lengths[i])
    every = slice(state.process_index, None, state.num_processes)
    waiting = order if together else order[every]
    room = float(batch_size * state.num_processes if together else batch_size)
    results: list[tuple[int, T]] = []
    num_done = 0
    while num_done < len(waiting):
        filled = _fill_batch(itertools.islice(waiting, num_done, None), sizes, room)
        batch = filled[every] or filled[:1] if together else filled
        try:
            results += zip(batch, function([items[i] for i in batch]), strict=True)
            num_done += len(filled)
            continue
        except torch.OutOfMemoryError:
            if together or len(batch) == 1:
                raise
        room = len(batch) // 2 * max(sizes[i] for i in batch)
        torch.cuda.empty_cache()  # outside of the except block, where the exception no longer references the batch
    everyone = dict(gather_object(results))
    return [everyone[i] for i in range(len(items))]


def _relative_sizes(*sizes: Sequence[int]) -> list[float]:
    """Return each item's size in (0, 1]: the largest of its sizes, each relative to the largest of all items."""
    largest = [max(size, default=1) for size in sizes]
    return [max(n / most for n, most in zip(item, largest, strict=True)) for item in zip(*sizes, strict=True)]


def _fill_batch(items: Iterable[int], sizes: Sequence[float], room: float) -> list[int]:
    """Take items, at least one, while rows × the size of the largest item fit into `room`."""
    batch: list[int] = []
    largest = 0.0
    for item in items:
        largest = max(largest, sizes[item])
        if batch and (len(batch) + 1) * largest > room:
            break
        batch.append(item)
    return batch


def count_virtual_tokens(model: object) -> int:
    """Return the number of virtual tokens that a method, ours or peft's, prepends to each text."""
    return getattr(getattr(model, "active_peft_config", model), "num_virtual_tokens", 0)


def adds_prompt(model: object) -> bool:
    """Whether a model is one of peft's prompt learning, which adds its prompt in every pass."""
    return bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))
