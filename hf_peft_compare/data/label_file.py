"""Read labels or predictions that were made elsewhere, and find those of given examples, by their texts or ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import AnyTask
from hf_peft_compare.data.answers import NO_ANSWER
from hf_peft_compare.data.columns import named_columns
from hf_peft_compare.data.labels import name_of_label
from hf_peft_compare.data.reading import read_table
from hf_peft_compare.utils.formatting import name_some

if TYPE_CHECKING:
    from datasets import Dataset

ANSWER, PREDICTION, REFERENCE = "answer", "prediction", "reference"  # columns of a run's predictions.jsonl
SOURCES = ("source", "source_pair")
MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class LabelFile:
    """The labels of a file.

    Args:
        by_text: whether keys are texts, one or two, or an id.
        labels: {key: label}; None: the answer could not be read.
        gold: {key: what the file says is the dataset's label}, by which other data are noticed; may be empty.
        num_rows: of the file.
    """

    path: Path
    by_text: bool
    labels: Mapping[tuple[str, ...], str | None]
    gold: Mapping[tuple[str, ...], str]
    num_rows: int

    def find(
        self,
        texts: Sequence[tuple[str, ...]],
        ids: Sequence[str],
        gold: Sequence[str | None],
        *,
        what: str,
        are_places: bool,
    ) -> list[str | None]:
        """Return the label of each example, in order; None where it could not be read.

        Args:
            gold: the dataset's labels; None: unknown.
            what: the examples, in an error.
            are_places: whether the ids are numbers of rows, since the dataset has none.

        Raises:
            UserError: an example has no label, or the file is of other data.
        """
        keys = list(map(key_of, texts)) if self.by_text else [(i,) for i in ids]
        missing = [key for key in keys if key not in self.labels]
        how = "texts" if self.by_text else "row numbers" if are_places else "ids"
        if missing:
            raise UserError(
                f"{self.path} has no label for {len(missing):,} of {len(keys):,} {what}, such as "
                f"{missing[0][0][:60]!r}, compared by {how} with its {self.num_rows:,} rows. Label these too, e.g. "
                f"with `hf-peft-compare predict`, or choose the file of this dataset."
            )
        pairs = [(self.gold[key], known) for key, known in zip(keys, gold, strict=True) if key in self.gold and known]
        wrong = sum(told != known for told, known in pairs)
        if wrong:
            raise UserError(
                f"{self.path} says of {wrong:,} of {len(pairs):,} {what}, compared by {how}, another label than the "
                f"dataset: it is of other data, or of another order. Choose the file of this dataset."
            )
        if not self.by_text and are_places and not pairs:
            raise UserError(
                f"{self.path} has row numbers only, and nothing shows that they are of this dataset. Add the texts to "
                f"the file, or the dataset's own labels."
            )
        return [self.labels[key] for key in keys]


def key_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the key of an example's texts, without whitespace at their ends."""
    return tuple(text.strip() for text in texts)


def read_label_file(path: Path, task: AnyTask, settings: Any, *, column: str | None, id_column: str) -> LabelFile:
    """Read a file of labels or predictions.

    Args:
        task, settings: the task that the labels are for, and its settings; without labels of its own, they are texts.
        column, id_column: as in `LabelsFrom`.

    Raises:
        UserError: the file cannot be read, lacks a column, has an id twice, two labels of a text, or a label that the
            task does not have.
    """
    table = read_table(path)
    names = table.column_names
    label_column = column or _label_column(names, settings)
    if label_column not in names:
        raise UserError(f"{path} has no column {label_column!r}; it has {', '.join(names)}. Name the column of labels.")
    columns = _text_columns(names, task.text_columns(settings))
    if columns is None and id_column not in names:
        raise UserError(
            f"{path} has neither the texts ({', '.join(task.text_columns(settings))}) nor ids ({id_column}); it has "
            f"{', '.join(names)}. Name its column of ids."
        )
    ids = list(map(str, table[id_column][:])) if id_column in names else []
    _check_ids(path, ids)
    keys = [(i,) for i in ids] if columns is None else [key_of(row) for row in _rows(table, columns, path)]
    known = task.labels(settings) if task.label_column(settings) is not None else None
    labels = _labels(path, table[label_column][:], known)
    if columns is not None:
        _check_texts(path, keys, labels)
    gold_column = task.label_column(settings) if columns != SOURCES[: len(columns or ())] else REFERENCE
    gold = {}
    if known is not None and gold_column in names and gold_column != label_column:
        named = (name_of_label(value, known) for value in table[gold_column][:])
        gold = {key: name for key, name in zip(keys, named, strict=True) if name is not None}
    return LabelFile(
        path=path,
        by_text=columns is not None,
        labels=dict(zip(keys, labels, strict=True)),
        gold=gold,
        num_rows=len(keys),
    )


def _label_column(found: Sequence[str], settings: Any) -> str:
    """Return the column of labels or predictions; not `answer` if the dataset has its own labels or texts there."""
    # A run's file has the reference in a column of its own.
    is_parsed = REFERENCE in found or ANSWER not in named_columns(settings)
    return ANSWER if ANSWER in found and is_parsed else PREDICTION


def _text_columns(found: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...] | None:
    for columns in (tuple(wanted), SOURCES[: len(wanted)]):
        if set(columns) <= set(found):
            return columns
    return None


def _rows(table: Dataset, columns: Sequence[str], path: Path) -> list[tuple[str, ...]]:
    rows = list(zip(*(table[column][:] for column in columns), strict=True))
    for number, row in enumerate(rows, start=1):
        if not all(isinstance(text, str) for text in row):
            raise UserError(f"{path}, row {number}: {' and '.join(columns)} is {row!r}; expected text.")
    return rows


def _check_ids(path: Path, ids: Sequence[str]) -> None:
    counts = Counter(ids)
    if len(counts) < len(ids):
        (name, count), *_ = counts.most_common(1)
        raise UserError(
            f"{path} has {len(ids):,} rows with {len(counts):,} different ids; {name!r} is the id of {count:,}. "
            f"Expected one label per id; keep one run's predictions of one file."
        )


def _check_texts(path: Path, keys: Sequence[tuple[str, ...]], labels: Sequence[str | None]) -> None:
    given: dict[tuple[str, ...], set[str | None]] = {}
    for key, label in zip(keys, labels, strict=True):
        given.setdefault(key, set()).add(label)
    if twice := [key for key, found in given.items() if len(found) > 1]:
        raise UserError(
            f"{path} gives two labels to each of {len(twice):,} texts, such as {twice[0][0][:60]!r}; keep one of each."
        )


def _labels(path: Path, values: Sequence[object], known: Sequence[str] | None) -> list[str | None]:
    """Return the labels as the task names them; None: not read. Without such labels, any text is one, an empty too."""
    if known is None:
        return ["" if value is None or value != value else str(value) for value in values]
    unread = [value in (None, "", NO_ANSWER) or value != value for value in values]
    values = [_without_point(value) for value in values]
    names = [None if no else name_of_label(value, known) for value, no in zip(values, unread, strict=True)]
    strange = Counter(str(v) for v, name, no in zip(values, names, unread, strict=True) if name is None and not no)
    if strange:
        raise UserError(
            f"{path} has labels {name_some(map(repr, strange), MOST_NAMED)} ({sum(strange.values()):,} of "
            f"{len(values):,} rows), and the task's are {', '.join(known)}. Expected these names or their indices, and "
            f"nothing where an answer could not be read."
        )
    return names


def _without_point(value: object) -> object:
    """Return an index as a CSV has it without the point that an empty cell elsewhere in its column gives it."""
    return value.removesuffix(".0") if isinstance(value, str) and re.fullmatch(r"\d+\.0", value) else value
