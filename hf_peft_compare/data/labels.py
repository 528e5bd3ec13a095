"""Labeled texts: the settings, row parsing and split checks that the classification tasks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, TypeVar

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Task
from hf_peft_compare.data.answers import NO_ANSWER
from hf_peft_compare.data.columns import check_columns, row_ids, text_of

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassificationSettings:
    """Settings that all classification tasks share.

    Args:
        text_column, label_column: names of the dataset's columns.
        text_pair_column: the column of the second text if text pairs are classified; None: single texts.
        id_column: a column of row ids; if it is missing or None, rows are numbered.
        labels: the names of the classes; label values in the dataset are these names, or, unless all names are numbers,
            their indices in this list.
    """

    text_column: str = "text"
    text_pair_column: str | None = None
    label_column: str = "label"
    id_column: str | None = "id"
    labels: list[str] = field(default_factory=list)


S = TypeVar("S", bound=ClassificationSettings)


def labels_of(settings: ClassificationSettings) -> list[str]:
    """Return the names of the classes.

    Raises:
        UserError: there are fewer than two, or duplicates, or one means that there is no answer.
    """
    if NO_ANSWER in settings.labels:
        raise UserError(
            f"task.labels has {NO_ANSWER!r}, which stands for an answer that cannot be read; rename this class, in the "
            f"dataset too if it has names."
        )
    if len(settings.labels) < 2 or len(set(settings.labels)) < len(settings.labels):
        raise UserError(
            f"task.labels is {settings.labels}; expected the names of two or more classes, without duplicates, "
            f"e.g. labels: [negative, positive], in the order of their numbers if the dataset has numbers."
        )
    return settings.labels


def text_columns(settings: ClassificationSettings) -> list[str]:
    """Return the text columns, one or two."""
    return [column for column in (settings.text_column, settings.text_pair_column) if column is not None]


def text_keys(settings: ClassificationSettings) -> tuple[str, ...]:
    """Return the settings that name the text columns."""
    return ("text_column", "text_pair_column")[: len(text_columns(settings))]


def checked_texts(dataset: Dataset, settings: ClassificationSettings, ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the one or two texts of every row, unchanged.

    Args:
        ids: what an error calls each row.

    Raises:
        UserError: a column is missing, or a text is empty or no text.
    """
    columns = text_columns(settings)
    check_columns(dataset, settings, text_keys(settings))
    rows = list(zip(*(dataset[column][:] for column in columns), strict=True))
    for i, row in zip(ids, rows, strict=True):
        for column, text in zip(columns, row, strict=True):
            text_of(text, column, i)
    return rows


def labeled_examples(dataset: Dataset, settings: ClassificationSettings) -> list[Example]:
    """Read the texts and labels of a split; texts are unchanged.

    Raises:
        UserError: a column is missing, a text is empty, or a label is not among `labels`.
    """
    check_columns(dataset, settings, ("label_column",))
    values = _label_values(dataset, settings)
    if not settings.labels:
        raise UserError(f"task.labels is missing; the dataset has {_counted(values)}. {_proposal(values)}")
    labels, ids = labels_of(settings), row_ids(dataset, settings.id_column)
    texts = checked_texts(dataset, settings, ids)
    return [
        Example(
            id=i,
            source=text[0],
            source_pair=text[1] if len(text) > 1 else None,
            reference=_label(value, labels, i),
        )
        for i, text, value in zip(ids, texts, values, strict=True)
    ]


def _label_values(dataset: Dataset, settings: ClassificationSettings) -> list[object]:
    """Return the labels of a split: their indices, so that a study may rename classes, if it keeps their order.

    They are the dataset's own names if the study has only numbers, or one of these names at another index.
    """
    values, labels = list(dataset[settings.label_column][:]), settings.labels
    names = getattr(dataset.features[settings.label_column], "names", ())
    moved = any(name in labels and labels.index(name) != index for index, name in enumerate(names))
    if not names or not (moved or _are_numbers(labels)):
        return values
    return [names[value] if isinstance(value, int) and 0 <= value < len(names) else value for value in values]


def _are_numbers(labels: Sequence[str]) -> bool:
    return bool(labels) and all(label.isdecimal() for label in labels)


def name_of_label(value: object, labels: Sequence[str]) -> str | None:
    """Return the class that a value is the name or the index of; None: neither."""
    if str(value) in labels:
        return str(value)
    value = _as_integer(value)
    name = str(value).lower() if isinstance(value, bool) else str(value)  # as in YAML and JSON
    if name in labels:
        return name
    # In a file of texts, such as a CSV, an index is a text too; but "01" is a name, and numbers among numbers are.
    is_index = name.isdecimal() and name == str(int(name)) and not isinstance(value, bool)
    return labels[int(name)] if is_index and not _are_numbers(labels) and int(name) < len(labels) else None


def _as_integer(value: object) -> object:
    """Return the integer that a float is in a column with empty cells."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def known_labels(dataset: Dataset, settings: ClassificationSettings) -> list[str | None]:
    """Return the label of every row of a split; None where it is missing, or hidden behind a -1.

    Raises:
        UserError: a column is missing, or a label is none of the task's.
    """
    check_columns(dataset, settings, ("label_column",))
    labels = labels_of(settings)
    return [
        None if _is_missing(value) or _is_hidden(value, labels) else _label(value, labels, row)
        for row, value in enumerate(_label_values(dataset, settings))
    ]


def _is_missing(value: object) -> bool:
    return value in (None, "") or value != value


def _is_hidden(value: object, labels: Sequence[str]) -> bool:
    """Whether a value is the -1 that datasets have in place of labels that they do not publish, as a number or text."""
    return str(_as_integer(value)) == "-1" and "-1" not in labels


def _label(value: object, labels: Sequence[str], row: object) -> str:
    if _is_missing(value):
        raise UserError(f"the label of row {row} is empty; expected one of {', '.join(labels)}. Remove such rows.")
    if (name := name_of_label(value, labels)) is not None:
        return name
    value = _as_integer(value)
    hidden = " (the labels of this split are hidden; choose another split)" if _is_hidden(value, labels) else ""
    indices = "" if _are_numbers(labels) else f", or its index in this list, 0 to {len(labels) - 1}"
    raise UserError(
        f"the label of row {row} is {value!r}{hidden}; expected one of {', '.join(labels)}{indices}. Set "
        f"task.labels to all classes of the dataset, spelled as in the dataset."
    )


def _proposal(values: Iterable[object]) -> str:
    names = sorted({str(value) for value in values if value is not None})[:20]
    numbers = all(name.isdigit() for name in names)
    what = "the names of these classes, in order" if numbers else f"[{', '.join(names)}]"
    return f"Set task.labels to {what}."


def _counted(values: Iterable[object]) -> str:
    most = Counter(str(value) for value in values).most_common(20)
    return ", ".join(f"{name} ({count:,})" for name, count in most)


def check_labels(examples: Mapping[str, Sequence[Example]], settings: object) -> None:
    """Check that the train split has at least two classes, and every class of the other splits.

    Raises:
        UserError: train has only one class, or another split has a class that train does not have.
    """
    seen = {example.reference for example in examples["train"]}
    if len(seen) < 2:
        raise UserError(
            f"all {len(examples['train'])} train examples are labeled {', '.join(seen)!r}; expected two classes or "
            f"more. Check task.label_column, raise num_train_samples, or set balanced_train_samples=true."
        )
    for name in ("validation", "test"):
        unseen = Counter(example.reference for example in examples[name] if example.reference not in seen)
        if unseen:
            listed = ", ".join(f"{label} ({count})" for label, count in unseen.most_common())
            raise UserError(
                f"{name} has labels that train does not have: {listed}. Raise num_train_samples, set "
                f"balanced_train_samples=true, or remove these rows."
            )


class ClassificationTask(Task[S]):
    """A task of labeled texts; subclasses define the head and the format."""

    metrics = ("accuracy", "f1")

    def examples(self, dataset: Dataset, settings: S) -> list[Example]:
        """Return the texts and labels of a split; raise UserError as `labeled_examples` does."""
        return labeled_examples(dataset, settings)

    def text_columns(self, settings: S) -> list[str]:
        """Return the text columns, one or two."""
        return text_columns(settings)

    def label_column(self, settings: S) -> str:
        """Return the label column."""
        return settings.label_column

    def labels(self, settings: S) -> list[str]:
        """Return the names of the classes; raise UserError as `labels_of` does."""
        return labels_of(settings)

    def check(self, examples: Mapping[str, Sequence[Example]], settings: S) -> None:
        """Check that the labels of the splits match; raise UserError as `check_labels` does."""
        check_labels(examples, settings)
