"""Rows that do not fit into the maximum length: left out of train and validation within a limit, or else refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import datasets

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Features
from hf_peft_compare.data.completions import DoesNotFit

CUT = "cut"  # the column that tells whether a row's text was truncated
MAY_DROP = ("train", "validation")  # the splits whose rows may be left out
LEFT_OUT = "left_out"  # the column that tells whether a row does not fit; such a row has no tokens


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Encodes the rows of a split within a maximum length.

    Args:
        encode: `encode(example, max_length)` returns the features.
        may_drop: whether a row that does not fit is left out instead of refused.
        split: the name of the split, for errors.
        masked: whether features have a loss mask.
    """

    encode: Callable[[Example, int], Features]
    max_length: int
    may_drop: bool
    split: str
    masked: bool = False

    def __call__(self, example: Example) -> dict[str, object]:
        """Return the features of an example, and whether its text was truncated."""
        try:
            row = self.features(example)
        except DoesNotFit as error:
            if self.may_drop:
                mask: dict[str, list[int]] = {"loss_mask": []} if self.masked else {}
                return {"input_ids": [], "num_completion_tokens": 0, **mask, CUT: False, LEFT_OUT: True}
            raise UserError(f"{self.split} rows are never left out: {error}") from None
        full = len(row["input_ids"]) >= self.max_length
        cut = full and len(self.encode(example, self.max_length + 1)["input_ids"]) > self.max_length
        return {**row, CUT: cut, LEFT_OUT: False}

    def features(self, example: Example) -> Features:
        """Return the features of an example; raise DoesNotFit if it does not fit."""
        return self.encode(example, self.max_length)


def rows_that_fit(
    tokens: datasets.Dataset, texts: Sequence[Example], encoder: Encoder, *, max_share: float
) -> Sequence[int] | None:
    """Return the numbers of the rows that fit; None: all do.

    Raises:
        UserError: more rows than the study allows do not fit.
    """
    if not encoder.may_drop or not len(tokens):
        return None
    flags = tokens[LEFT_OUT][:]
    left_out = [row for row, flag in enumerate(flags) if flag]
    if not left_out:
        return None
    if len(left_out) > max_share * len(tokens):
        try:
            encoder.features(texts[left_out[0]])
        except DoesNotFit as error:
            raise too_many(len(left_out), len(tokens), encoder.split, error, max_share=max_share) from None
    return [row for row, flag in enumerate(flags) if not flag]


def too_many(num_left_out: int, num_rows: int, split: str, first: DoesNotFit, *, max_share: float) -> UserError:
    """Return the error that more rows of a split do not fit than may be left out, with the first as an example."""
    return UserError(
        f"{num_left_out:,} of {num_rows:,} {split} rows ({num_left_out / num_rows:.1%}) do not fit, more than "
        f"max_dropped_share ({max_share:g}) allows to leave out; for example, {first} Or raise max_dropped_share."
    )


def count_cut(tokens: datasets.Dataset) -> int:
    """Return the number of rows whose text was truncated."""
    return sum(tokens[CUT][:]) if len(tokens) else 0


def features_alone(tokens: datasets.Dataset) -> datasets.Dataset:
    """Return the rows without the columns that are not features."""
    return tokens.remove_columns([name for name in (CUT, LEFT_OUT) if name in tokens.column_names])
