"""Labelled texts, what the classification tasks have in common: their settings, their rows, what splits must share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Task
from hf_peft_compare.data.columns import check_columns, row_ids, text_of

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClassificationSettings:
    """Settings of every classification.

    Args:
        text_column, label_column: names of the dataset's columns.
        text_pair_column: the column of the second text where pairs are classified; None: single texts.
        id_column: a column that names each row; where it is missing, rows are numbered.
        labels: the names of the classes; the dataset has these, or their places in this list.
    """

    text_column: str = "text"
    text_pair_column: str | None = None
    label_column: str = "label"
    id_column: str = "id"
    labels: list[str] = field(default_factory=list)


S = TypeVar("S", bound=ClassificationSettings)


def labels_of(settings: ClassificationSettings) -> list[str]:
    """Give the names of the classes.

    Raises:
        UserError: fewer than two, or one twice.
    """
    if len(settings.labels) < 2 or len(set(settings.labels)) < len(settings.labels):
        raise UserError(
            f"task.labels is {settings.labels}; expected the names of two or more classes, each once, e.g. "
            f"labels: [negative, positive], in the order of their numbers if the dataset has numbers."
        )
    return settings.labels


def text_columns(settings: ClassificationSettings) -> list[str]:
    """Name the columns of the texts, one or two."""
    return [column for column in (settings.text_column, settings.text_pair_column) if column is not None]


def labelled_examples(dataset: Dataset, settings: ClassificationSettings) -> list[Example]:
    """Read the texts and labels of a split; texts are left as they are.

    Raises:
        UserError: a missing column, an empty text, a label that is not among `labels`.
    """
    keys = ("text_column", *(["text_pair_column"] if settings.text_pair_column else []), "label_column")
    check_columns(dataset, settings, keys)
    values = dataset[settings.label_column][:]
    if not settings.labels:
        raise UserError(f"task.labels is missing; the dataset has {_counted(values)}. {_proposal(values)}")
    columns = [dataset[settings.text_column][:]]
    columns.append(dataset[settings.text_pair_column][:] if settings.text_pair_column else [None] * len(dataset))
    rows = zip(row_ids(dataset, settings.id_column), *columns, values, strict=True)
    return [
        Example(
            id=i,
            source=_checked(text, settings.text_column, i),
            source_pair=None if settings.text_pair_column is None else _checked(pair, settings.text_pair_column, i),
            reference=_label(value, labels_of(settings), i),
        )
        for i, text, pair, value in rows
    ]


def _checked(value: Any, column: str, row: Any) -> str:
    text_of(value, column, row)
    return value


def _label(value: object, labels: Sequence[str], row: object) -> str:
    name = str(value).lower() if isinstance(value, bool) else str(value)  # as YAML and JSON write it
    if name in labels:
        return name
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(labels):
        return labels[value]
    hidden = " (a split whose labels are kept secret; choose another)" if value == -1 else ""
    raise UserError(
        f"the label of row {row} is {value!r}{hidden}; expected one of {', '.join(labels)}, or its place in this list, "
        f"0 to {len(labels) - 1}. Set task.labels to all classes of the dataset."
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
    """Refuse splits from which nothing can be learned, or not what is scored.

    Raises:
        UserError: train has one class only, or another split has one that train has not.
    """
    seen = {example.reference for example in examples["train"]}
    if len(seen) < 2:
        raise UserError(
            f"all {len(examples['train'])} train examples are labelled {', '.join(seen)!r}; expected two classes or "
            f"more. Look at task.label_column, raise num_train_samples, or set balanced_train_samples=true."
        )
    for name in ("validation", "test"):
        unseen = Counter(example.reference for example in examples[name] if example.reference not in seen)
        if unseen:
            listed = ", ".join(f"{label} ({count})" for label, count in unseen.most_common())
            raise UserError(
                f"{name} has labels that train never shows: {listed}. Raise num_train_samples, set "
                f"balanced_train_samples=true, or leave these rows out."
            )


class ClassificationTask(Task[S]):
    """A task of labelled texts: all but how the model is asked for the class."""

    metrics = ("accuracy", "f1")

    def examples(self, dataset: Dataset, settings: S) -> list[Example]:
        """Return the texts and labels of a split; raises UserError as `labelled_examples`."""
        return labelled_examples(dataset, settings)

    def text_columns(self, settings: S) -> list[str]:
        """Return the columns of the texts, one or two."""
        return text_columns(settings)

    def label_column(self, settings: S) -> str:
        """Return the column of the labels."""
        return settings.label_column

    def labels(self, settings: S) -> list[str]:
        """Return the names of the classes; raises UserError as `labels_of`."""
        return labels_of(settings)

    def check(self, examples: Mapping[str, Sequence[Example]], settings: S) -> None:
        """Raise UserError for splits whose labels do not match, as `check_labels`."""
        check_labels(examples, settings)
