"""The columns of a dataset as texts; what is missing or empty is said with its row and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_peft_compare.core.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset


def check_columns(dataset: Dataset, settings: object, keys: tuple[str, ...]) -> None:
    """Raise UserError unless the dataset has the columns that these settings name; those that exist are listed."""
    for key in keys:
        column = getattr(settings, key)
        if column not in dataset.column_names:
            columns = ", ".join(dataset.column_names)
            raise UserError(f"the dataset has no column {column!r}; it has {columns}. Set task.{key}.")


def row_ids(dataset: Dataset, id_column: str) -> list[str]:
    """Name every row by its id; where the dataset has no such column, rows are numbered."""
    ids = dataset[id_column] if id_column in dataset.column_names else [None] * len(dataset)
    return [str(row if i is None else i) for row, i in enumerate(ids)]


def text_of(value: object, what: str, row: object) -> str:
    """Give a text without white space around it.

    Raises:
        UserError: it is empty, or no text.
    """
    if not isinstance(value, str) or not value.strip():
        came = "empty" if value is None or isinstance(value, str) else type(value).__name__
        raise UserError(f"the {what} of row {row} is {came}; expected text. Remove such rows from the dataset.")
    return value.strip()
