"""Read dataset columns as texts; errors name the missing column, or the row of an empty text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_peft_compare.core.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset


def check_columns(dataset: Dataset, settings: object, keys: tuple[str, ...]) -> None:
    """Raise UserError unless the dataset has the columns that the settings name; the error lists its columns."""
    for key in keys:
        column = getattr(settings, key)
        if column not in dataset.column_names:
            columns = ", ".join(dataset.column_names)
            raise UserError(f"the dataset has no column {column!r}; it has {columns}. Set task.{key}.")


def row_ids(dataset: Dataset, id_column: str | None) -> list[str]:
    """Return the id of every row; the row number if there is no id column, or the id is null."""
    ids = dataset[id_column] if id_column in dataset.column_names else [None] * len(dataset)
    return [str(row if i is None else i) for row, i in enumerate(ids)]


def text_of(value: object, what: str, row: object) -> str:
    """Return a text without leading and trailing whitespace.

    Raises:
        UserError: the value is empty or not a string.
    """
    if not isinstance(value, str) or not value.strip():
        found = "empty" if value is None or isinstance(value, str) else type(value).__name__
        raise UserError(f"the {what} of row {row} is {found}; expected text. Remove such rows from the dataset.")
    return value.strip()
