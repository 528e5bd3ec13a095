"""A data set that is an object: saved once, in a folder that is named by its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from hf_peft_compare.config.layers import Tree
from hf_peft_compare.config.protocol import is_embedded
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_task
from hf_peft_compare.data.labels import ClassificationTask
from hf_peft_compare.inputs.saving import saved
from hf_peft_compare.utils.quiet import quiet

if TYPE_CHECKING:
    import pandas
    from datasets import Dataset, DatasetDict

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Table: TypeAlias = "Dataset | pandas.DataFrame | Rows"
DatasetLike: TypeAlias = "str | Path | DatasetDict | Table | Mapping[str, Table]"

SHARE_CUT = 10  # one in so many rows becomes validation, and one test, of a data set without these splits
EXPECTED = "a DatasetDict, Dataset, DataFrame, list of dicts, {split: table}, a path or a hub id"
ROWS_HASHED = 1000  # at once


def save_dataset(dataset: str | Path | DatasetDict, folder: Path) -> tuple[str, Tree]:
    """Return what a study says of a data set: its name, and how splits are to be cut from train.

    Args:
        folder: where an object is saved.

    Raises:
        UserError: one that cannot be saved.
    """
    if isinstance(dataset, (str, Path)):
        return str(dataset), {}
    with quiet():
        path = saved(folder, "dataset", _content_hash(dataset), lambda target: dataset.save_to_disk(str(target)))
    missing = [name for name in ("validation", "test") if name not in dataset]
    if "train" not in dataset:
        return str(path), {}
    cut = max(1, len(dataset["train"]) // SHARE_CUT)
    sizes = {f"num_{name}_samples": cut for name in missing}
    return str(path), {**sizes, **{f"{name}_split": "train" for name in missing}}


def with_labels(task: Mapping[str, Any], dataset: str | Path | DatasetDict, tree: Mapping[str, Any]) -> Tree:
    """Return a task with the names of its classes, found in the train split where it has none.

    Args:
        tree: the study, by which a data set that is no object is loaded.
    """
    kind = get_task(task.get("name"))
    embedded = isinstance(dataset, (str, Path)) and is_embedded(str(dataset))
    if not isinstance(kind, ClassificationTask) or task.get("labels") or embedded:
        return dict(task)
    if kind.settings().labels:  # the task's own
        return dict(task)
    column = task.get("label_column", kind.settings().label_column)
    train = _train_split(dataset, tree)
    if train is None or column not in train.column_names:
        return dict(task)  # which the check of the study explains
    names = getattr(train.features[column], "names", None)
    return {**task, "labels": list(names) if names else sorted({str(value) for value in train[column][:]})}


def _train_split(dataset: str | Path | DatasetDict, tree: Mapping[str, Any]) -> Any:
    name = tree.get("train_split", "train")
    if not isinstance(dataset, (str, Path)):
        return dataset.get(name)
    from hf_peft_compare.config.study import Study
    from hf_peft_compare.data.reading import load_raw

    return load_raw(Study.from_dict(tree).config).get(name)


def named_or_splits(dataset: DatasetLike) -> str | Path | DatasetDict:
    """Return the name of a data set as it is, and any object as splits.

    Raises:
        UserError: no table, or one without rows.
    """
    if isinstance(dataset, (str, Path)):
        return dataset
    from datasets import Dataset, DatasetDict

    if isinstance(dataset, DatasetDict):
        return dataset
    if isinstance(dataset, Mapping) and dataset:
        return DatasetDict({str(name): _table(value, f"dataset[{name!r}]") for name, value in dataset.items()})
    table = _table(dataset, "dataset")
    assert isinstance(table, Dataset)
    return DatasetDict({"train": table})


def _table(value: Any, where: str) -> Dataset:
    import pandas
    from datasets import Dataset

    if isinstance(value, Dataset):
        table = value
    elif isinstance(value, pandas.DataFrame):
        table = _made(lambda: Dataset.from_pandas(value, preserve_index=False), where)
    elif isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(row, Mapping) for row in value):
        table = _made(lambda: Dataset.from_list([dict(row) for row in value]), where)
    else:
        raise UserError(f"{where} is a {type(value).__name__}; expected {EXPECTED}.")
    if not len(table):
        raise UserError(f"{where} has no rows; expected a table with at least one.")
    return table


def _made(make: Any, where: str) -> Dataset:
    try:
        return cast("Dataset", make())
    except Exception as error:  # pyarrow raises many kinds; each is about a value that has no type of a table
        reason = " ".join(str(error).split())
        raise UserError(f"{where} cannot be saved as a table: {type(error).__name__}: {reason}") from None


def _content_hash(splits: DatasetDict) -> str:
    """Hash names, types and values of all splits, however they are kept in memory."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        digest.update(repr((name, splits[name].features)).encode())
        for table in splits[name].with_format("arrow").iter(batch_size=ROWS_HASHED):
            for batch in table.combine_chunks().to_batches():
                digest.update(batch.serialize())
    return digest.hexdigest()
