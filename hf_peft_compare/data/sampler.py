"""The order of training examples: grouped by similar length, shuffled with the seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

CHUNKS_SORTED_TOGETHER = 50  # as in transformers' LengthGroupedSampler


class SimilarLengthSampler(Sampler[int]):
    """Visit examples once per epoch, in a seeded order in which each chunk has examples of similar length.

    A chunk is one effective batch: however it is split into processes and micro-batches, an optimizer step sees the
    same examples. Examples left over after the last full chunk, which differ between epochs, are not visited.
    The order depends on seed and epoch only, so a resumed run sees the same examples as an uninterrupted run.
    (transformers' LengthGroupedSampler draws from the global generator, which a resumed run cannot replay.)

    Args:
        lengths: number of tokens of each example.
        chunk_size: the effective batch size.
    """

    def __init__(self, lengths: Sequence[int], *, chunk_size: int, seed: int):
        self.lengths = list(lengths)
        self.chunk_size = chunk_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        num_examples = len(self.lengths)
        return num_examples - num_examples % self.chunk_size or num_examples

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        visited = torch.randperm(len(self.lengths), generator=generator).tolist()[: len(self)]
        # With few examples, sorting all of them together would produce the same batches in every epoch.
        window = self.chunk_size * max(1, min(CHUNKS_SORTED_TOGETHER, len(self) // (4 * self.chunk_size)))
        chunks: list[list[int]] = []
        for start in range(0, len(visited), window):
            by_length = sorted(visited[start : start + window], key=lambda i: -self.lengths[i])
            chunks += [by_length[i : i + self.chunk_size] for i in range(0, len(by_length), self.chunk_size)]
        order = torch.randperm(len(chunks), generator=generator).tolist()
        yield from (index for chunk in order for index in chunks[chunk])


def count_visited_tokens(sampler: SimilarLengthSampler, *, num_steps: int) -> int:
    """Return the number of tokens in the first optimizer steps of a run, even if interrupted, without a device sync.

    Virtual tokens and padding are not counted, nor are the examples that accelerate repeats to fill idle processes.

    Args:
        sampler: the training sampler; each step uses one chunk of its order, and the order differs between epochs.
    """
    steps_per_epoch = max(len(sampler) // sampler.chunk_size, 1)
    num_tokens = 0
    for epoch in range(-(-num_steps // steps_per_epoch)):
        sampler.set_epoch(epoch)
        steps = min(steps_per_epoch, num_steps - epoch * steps_per_epoch)
        num_tokens += sum(sampler.lengths[i] for i in itertools.islice(sampler, steps * sampler.chunk_size))
    return num_tokens
