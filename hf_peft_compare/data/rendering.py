"""One example as the model reads it: template, special tokens and loss mask decide more than many a method does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from hf_peft_compare.core.task import Features

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READ, LEARNED, SCORED = "read", "learned", "scored"
MOST_CHARACTERS = 600  # of the beginning and of the end of a text, each


def render_input(
    row: Features, tokenizer: PreTrainedTokenizerBase, labels: Sequence[str], *, trains: bool
) -> dict[str, str]:
    """Return the text that is read without a loss, and the text or class with one, special tokens included.

    Of a conversation, several parts are learned: they are numbered, in the order of the text.

    Args:
        row: the features of an example of train, or of test if nothing is trained.
        labels: the class names, if the target is a class.
        trains: whether the target is "learned"; otherwise its loss is "scored" only.
    """
    ids, target = list(row["input_ids"]), LEARNED if trains else SCORED
    if "label" in row:
        known = row["label"] in range(len(labels))
        return {READ: _decode(tokenizer, ids), target: labels[row["label"]] if known else "no known class"}
    num_targets = row.get("num_completion_tokens", 0)
    mask = row.get("loss_mask") or [1] * num_targets
    marked = zip(ids, [0] * (len(ids) - num_targets) + list(mask), strict=True)
    parts = [(learned, [number for number, _ in part]) for learned, part in groupby(marked, key=lambda pair: pair[1])]
    numbers = [""] if len(parts) <= 2 else [f" ({number})" for number in range(1, len(parts) + 1)]
    return {
        f"{target if learned else READ}{numbers[place // 2]}": _decode(tokenizer, part)
        for place, (learned, part) in enumerate(parts)
    }


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    text = str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
    if len(text) <= 2 * MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]} […] {text[-MOST_CHARACTERS:]}"
