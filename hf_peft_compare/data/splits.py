"""Load the splits of a dataset, with seeded subsets, from the Hub, a local folder or file, or this package."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.schema import EMBEDDED, StudyProtocol, local_path
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
FILE_FORMATS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


def load_examples(config: StudyProtocol) -> dict[str, list[Example]]:
    """Load the examples of the three splits of a study, which all its runs share.

    Raises:
        UserError: a dataset, split or column is missing, there are too few rows, or a text is empty.
    """
    task, settings = config.task_type, config.task_settings
    splits = load_splits(config)
    examples = {name: task.examples(splits[name], settings) for name in SPLITS}
    task.check(examples, settings)
    return examples


def load_splits(config: StudyProtocol) -> Any:
    """Load train, validation and test as a `datasets.DatasetDict` with the sizes of the study.

    A missing validation or test split is cut from train, seeded. A subset of a split is a seeded choice; a smaller
    subset is contained in a larger one.

    Raises:
        UserError: a split cannot be loaded, has too few rows, or balanced samples are set for a task without labels.
    """
    sizes = {name: getattr(config, f"num_{name}_samples") for name in SPLITS}
    label_column = _label_column(config)
    if config.dataset == EMBEDDED:
        return _embedded(config, sizes)
    names = {name: getattr(config, f"{name}_split") for name in SPLITS}
    if len(set(names.values())) < len(names):
        listed = ", ".join(names.values())
        raise UserError(
            f"train_split, validation_split and test_split are {listed}; expected three different names. "
            f"A split that is missing from the dataset is cut from train."
        )
    raw = load_raw(config)
    if names["train"] not in raw:
        raise UserError(
            f"dataset {config.dataset} has no split {names['train']!r}; it has {', '.join(raw)}. Set train_split."
        )
    splits = {"train": raw[names["train"]].shuffle(seed=config.data_seed)}
    for name in ("test", "validation"):
        if names[name] in raw:
            splits[name] = raw[names[name]].shuffle(seed=config.data_seed)
        else:
            splits["train"], splits[name] = _cut(config, splits["train"], name, sizes[name], label_column)
    if config.balanced_train_samples:
        splits["train"] = splits["train"].select(_evenly(_labels(splits["train"], label_column)))
    for name in SPLITS:
        splits[name] = _resize(config, splits[name], name, sizes[name])
    return splits


def fingerprint(examples: dict[str, list[Example]]) -> dict[str, str]:
    """Return a hash of the texts of each split, in order."""
    return {name: _hash_examples(split) for name, split in examples.items()}


def count_groups(examples: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, int]]:
    """Return the number of examples per group of each split; splits without groups are left out."""
    counts = {name: Counter(e.group for e in split if e.group is not None) for name, split in examples.items()}
    return {name: dict(found) for name, found in counts.items() if found}


def _hash_examples(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        pair = () if example.source_pair is None else (example.source_pair,)
        digest.update(repr((example.id, example.source, example.reference, *pair)).encode())
    return digest.hexdigest()[:16]


def _embedded(config: StudyProtocol, sizes: dict[str, int | None]) -> Any:
    from hf_peft_compare.quickstart import load_outcomes, load_stories

    counts = {f"num_{name}_samples": size for name, size in sizes.items() if size is not None}
    missing = {f"num_{name}_samples" for name in SPLITS} - set(counts)
    if missing:
        raise UserError(f"dataset embedded is generated and has no size of its own; set {', '.join(sorted(missing))}.")
    if config.balanced_train_samples:
        raise UserError("balanced_train_samples is true, but dataset embedded is generated; remove the setting.")
    load = load_stories if config.task_type.label_column(config.task_settings) is None else load_outcomes
    return load(**counts, seed=config.data_seed)


def load_raw(config: StudyProtocol) -> Any:
    """Load all splits of a local or Hub dataset, as a dictionary by name."""
    import datasets

    task = config.task_type
    if (loaded := task.load(config)) is not None:
        return loaded
    path = local_path(config.dataset)
    if path.is_file():
        if path.suffix not in FILE_FORMATS:
            raise UserError(
                f"dataset file {path} is {path.suffix or 'without suffix'}; expected {', '.join(FILE_FORMATS)}."
            )
        return _guarded(config, FILE_FORMATS[path.suffix], data_files={config.train_split: str(path)})
    if path.is_dir():
        if (path / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(path))
        return _guarded(config, str(path))
    return _guarded(config, config.dataset, name=config.dataset_config, revision=config.dataset_revision)


def _guarded(config: StudyProtocol, *args: object, **kwargs: object) -> Any:
    """Call `datasets.load_dataset`; raise its errors as a UserError of one line."""
    import datasets

    try:
        return datasets.load_dataset(*args, **{k: v for k, v in kwargs.items() if v is not None})
    except Exception as error:  # datasets raises many types of errors; each is caused by the input
        from hf_peft_compare.utils.hub_errors import explain

        raise UserError(explain("dataset", config.dataset, error)) from None


def _label_column(config: StudyProtocol) -> str | None:
    """Return the column by which splits are stratified; None if the task has no labels."""
    task = config.task_type
    if (column := task.label_column(config.task_settings)) is not None:
        return column
    if config.balanced_train_samples:
        raise UserError(
            f"balanced_train_samples is true, but task {task.name} has no labels to balance; remove the setting."
        )
    return None


def _cut(
    config: StudyProtocol, train: Dataset, name: str, size: int | None, label_column: str | None
) -> tuple[Dataset, Dataset]:
    """Cut a missing split from shuffled train; return the remaining train split and the new split."""
    if size is None:
        split = getattr(config, f"{name}_split")
        raise UserError(
            f"dataset {config.dataset} has no split {split!r}. Set {name}_split, or set num_{name}_samples to cut "
            f"that many rows from train."
        )
    if size >= len(train):
        raise UserError(
            f"num_{name}_samples is {size}, but train, from which they are cut, has {len(train)} rows; "
            f"set a smaller number."
        )
    order = _proportionally(_labels(train, label_column))
    kept, cut = sorted(order[: len(order) - size]), sorted(order[len(order) - size :])
    return train.select(kept), train.select(cut)


def _labels(split: Dataset, column: str | None) -> list[str]:
    """Return the label of every row, "" if there is no label column; the task itself reports a missing column."""
    return list(map(str, split[column][:])) if column in split.column_names else [""] * len(split)


def _ranks(labels: Sequence[str]) -> list[int]:
    """Return for every row the number of earlier rows with the same label."""
    seen: Counter[str] = Counter()
    ranks = []
    for label in labels:
        ranks.append(seen[label])
        seen[label] += 1
    return ranks


def _evenly(labels: Sequence[str]) -> list[int]:
    """Return the row order in which the first n rows, for every n, have labels as balanced as possible."""
    ranks = _ranks(labels)
    return sorted(range(len(labels)), key=lambda row: ranks[row])


def _proportionally(labels: Sequence[str]) -> list[int]:
    """Return the row order in which the last n rows, for every n, have the label proportions of all (Sainte-Laguë)."""
    ranks, counts = _ranks(labels), Counter(labels)
    return sorted(range(len(labels)), key=lambda row: (ranks[row] + 0.5) / counts[labels[row]])


def _resize(config: StudyProtocol, split: Dataset, name: str, size: int | None) -> Dataset:
    if size is None:
        return split
    if size > len(split):
        raise UserError(
            f"num_{name}_samples is {size}, but dataset {config.dataset} has {len(split)} rows for {name}; "
            f"set at most {len(split)}, or remove the setting to use all rows."
        )
    return split.select(range(size))
