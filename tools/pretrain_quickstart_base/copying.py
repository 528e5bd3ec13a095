"""Rows of random tokens that repeat: the exercise in which the embedded base learns to copy before it reads a story.

A small GPT-2 stays on a plateau for long before it copies (two million parameters still did not after five million
tokens of stories). On these rows it takes about 500 steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IGNORED = -100  # the label of a token that cannot be predicted


@dataclass(frozen=True, kw_only=True)
class CopyingRows:
    """B rows of T tokens, [B, T] each; a label is set only where an earlier stretch determines the token."""

    input_ids: np.ndarray
    labels: np.ndarray


def draw_copying_rows(*, num_rows: int, length: int, vocabulary: np.ndarray, rng: np.random.Generator) -> CopyingRows:
    """Return rows over the ids of `vocabulary`: half repeat one stretch from any point, half several short words."""
    draws = (_repeat_stretch, _repeat_words)
    rows = [draws[index % 2](length, len(vocabulary), rng) for index in range(num_rows)]
    ids = np.array([row.ids[:length] for row in rows])
    labels = np.array([row.labels[:length] for row in rows])
    return CopyingRows(
        input_ids=vocabulary[ids],
        labels=np.where(labels == IGNORED, IGNORED, vocabulary[np.maximum(labels, 0)]),
    )


class _Row:
    """A growing row; `add` labels the added tokens that can be predicted."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.labels: list[int] = []

    def add(self, tokens: np.ndarray, *, seen: bool) -> None:
        """Append tokens; of a stretch seen before, all but the first are labeled."""
        self.ids += tokens.tolist()
        self.labels += [IGNORED] + tokens[1:].tolist() if seen else [IGNORED] * len(tokens)


def _repeat_stretch(length: int, size: int, rng: np.random.Generator) -> _Row:
    """Return one stretch, repeated from a random point in it, with noise of up to three tokens between repeats."""
    row = _Row()
    stretch = rng.integers(size, size=rng.integers(3, 25))
    row.add(rng.integers(size, size=rng.integers(1, 8)), seen=False)
    row.add(stretch, seen=False)
    while len(row.ids) < length:
        row.add(rng.integers(size, size=rng.integers(1, 4)), seen=False)
        row.add(stretch[rng.integers(len(stretch)) :], seen=True)
    return row


def _repeat_words(length: int, size: int, rng: np.random.Generator) -> _Row:
    """Return several words of one to five tokens in any order, with noise between: names in a text, at any distance."""
    row = _Row()
    words = [rng.integers(size, size=rng.integers(1, 6)) for _ in range(rng.integers(4, 14))]
    seen = [False] * len(words)
    while len(row.ids) < length:
        if rng.random() < 0.25:
            row.add(rng.integers(size, size=rng.integers(1, 4)), seen=False)
            continue
        index = int(rng.integers(len(words)))
        row.add(words[index], seen=seen[index])
        seen[index] = True
    return row
