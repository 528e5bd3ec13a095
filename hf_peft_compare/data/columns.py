"""Read dataset columns as texts and ids; errors name the missing column, or the row of an empty text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_peft_compare.core.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

PLACE = "__place_in_split__"  # the column with a row's number in the dataset's own split


def with_places(split: Dataset) -> Dataset:
    """Return a split with the number of each row, which stays with it when rows are chosen."""
    import numpy as np

    added: Dataset = split.add_column(PLACE, np.arange(len(split)))
    return added


@dataclass(frozen=True)
class Ids:
    """The ids by which files made elsewhere name the rows of a split; read when they are asked for."""

    split: Dataset
    id_column: str | None

    @property
    def are_places(self) -> bool:
        """Whether the dataset has no ids, so that rows have their numbers."""
        return self.id_column not in self.split.column_names

    def read(self) -> list[str]:
        """Return the id of each row, in order."""
        return list(map(str, self.split[PLACE if self.are_places else self.id_column][:]))


def named_columns(settings: object) -> set[str | None]:
    """Return the columns that the settings of a task name, its ids among them; None where one is left out."""
    return {column for key, column in vars(settings).items() if key.endswith("_column")}


def check_columns(dataset: Dataset, settings: object, keys: tuple[str, ...]) -> None:
    """Raise UserError unless the dataset has the columns that the settings name; the error lists its columns."""
    for key in keys:
        column = getattr(settings, key)
        if column not in dataset.column_names:
            columns = ", ".join(name for name in dataset.column_names if name != PLACE)
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
