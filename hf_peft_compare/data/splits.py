"""Load the splits of a dataset, with seeded subsets, from the Hub, a local folder or file, or this package."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.protocol import EMBEDDED, StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.checks import check_ids, check_metrics, with_clusters
from hf_peft_compare.data.columns import PLACE, Ids, with_places
from hf_peft_compare.data.reading import load_raw
from hf_peft_compare.data.teacher_labels import EXTRA, with_teacher_labels

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_peft_compare.records.train_labels import TrainLabels

SPLITS = ("train", "validation", "test")
DEFAULT_NAMES = {f.name: f.default for f in fields(StudyProtocol) if f.name.endswith("_split")}


class Examples(dict[str, list[Example]]):
    """The examples of each split, and what is known of them.

    Attributes:
        sources: the dataset's split that each split comes from; one cut from train comes from train.
        test_ids: the ids by which files made elsewhere name the test examples.
        train_labels: where the labels of train come from, if not from the dataset.
    """

    sources: dict[str, str]
    test_ids: Ids
    train_labels: TrainLabels | None = None


def load_examples(config: StudyProtocol, *, any_labels: bool = False) -> Examples:
    """Load the examples of the three splits of a study, which all its runs share.

    Args:
        any_labels: give texts that a teacher has not labeled yet the dataset's labels, or else any.

    Raises:
        UserError: a dataset, split or column is missing, there are too few rows, a text is empty, or ids are repeated.
    """
    task, settings = config.task_type, config.task_settings
    splits, sources = load_splits(config)
    examples = Examples()
    if config.labels_from is not None:
        splits, examples.train_labels = with_teacher_labels(
            config, config.labels_from, splits, sources, any_labels=any_labels
        )
    for name in SPLITS:
        split = splits[name].remove_columns(PLACE)
        examples[name] = with_clusters(task.examples(split, settings), split, config.cluster_column)
        check_ids(examples[name], name)
    examples["test"] = [example.scored for example in examples["test"]]
    examples.sources = sources
    examples.test_ids = Ids(splits["test"], getattr(settings, "id_column", None))
    task.check(examples, settings)
    check_metrics(examples["test"], config)
    return examples


def load_by_choice(configs: Sequence[StudyProtocol]) -> dict[object, Examples]:
    """Load the examples of a study's rows by their `train_choice`, once for all that share it.

    Raises:
        UserError: as `load_examples`.
    """
    firsts = {config.train_choice: config for config in reversed(configs)}
    return {choice: load_examples(config) for choice, config in firsts.items()}


def load_splits(config: StudyProtocol) -> tuple[Any, dict[str, str]]:
    """Load train, validation and test with the sizes of the study, and return the source of each.

    A validation or test split that is named like train is cut from train, seeded. A subset of a split is a seeded
    choice; a smaller subset is contained in a larger one.

    Returns:
        The splits by name, and the dataset's split that each comes from.

    Raises:
        UserError: a split cannot be loaded, has too few rows, or balanced samples are set for a task without labels.
    """
    sizes = {name: getattr(config, f"num_{name}_samples") for name in SPLITS}
    label_column = _label_column(config)
    teacher = config.labels_from
    if config.dataset == EMBEDDED:
        made = {name: with_places(split) for name, split in _embedded(config, sizes).items()}
        return made, {name: name for name in SPLITS}
    raw = {name: with_places(split) for name, split in load_raw(config).items()}
    sources = split_sources(config, list(raw))
    splits = {"train": raw[sources["train"]].shuffle(seed=config.data_seed)}
    for name in ("test", "validation"):
        if sources[name] != sources["train"]:
            splits[name] = raw[sources[name]].shuffle(seed=config.data_seed)
        else:
            splits["train"], splits[name] = _cut(config, splits["train"], name, sizes[name], label_column)
    if config.balanced_train_samples:
        splits["train"] = splits["train"].select(_evenly(_labels(splits["train"], label_column)))
    for name in SPLITS:
        splits[name] = _resize(config, splits[name], name, sizes[name])
    if teacher is not None and teacher.extra_split is not None:
        splits[EXTRA] = _extra(config, teacher.extra_split, teacher.num_extra_samples, raw)
    return splits, sources


def _extra(config: StudyProtocol, name: str, size: int | None, raw: Mapping[str, Dataset]) -> Dataset:
    """Return the texts that only the teacher labels."""
    if name not in raw:
        raise UserError(f"labels_from.extra_split is {name!r}; dataset {config.dataset} has {', '.join(raw)}.")
    if name in (config.train_split, config.validation_split, config.test_split):
        raise UserError(f"labels_from.extra_split is {name!r}, which the study uses already; choose another split.")
    split = raw[name].shuffle(seed=config.data_seed)
    if size is not None and size > len(split):
        raise UserError(f"labels_from.num_extra_samples is {size}, but {name} has {len(split)} rows; set fewer.")
    return split if size is None else split.select(range(size))


def split_sources(config: StudyProtocol, found: Collection[str]) -> dict[str, str]:
    """Return the dataset's split that each split comes from; train for one that is cut from train.

    A split that the dataset lacks is cut from train only if the study says so, if no rows are asked for, or if the
    dataset is a single table and the study names no splits.

    Args:
        found: the dataset's splits.

    Raises:
        UserError: a named split does not exist, or validation and test are the same split.
    """
    train, validation, test = (getattr(config, f"{name}_split") for name in SPLITS)
    if train not in found:
        raise _missing(config, "train", found)
    if validation == test != train:
        raise UserError(
            f"validation_split and test_split are both {test!r}; expected different splits, so that nothing is chosen "
            f"on the examples that are scored. To cut one of them from train, set it to {train!r}."
        )
    single_table = len(found) == 1
    sources = {"train": train}
    for name, split in (("validation", validation), ("test", test)):
        unnamed = single_table and split == DEFAULT_NAMES[f"{name}_split"]
        cut = unnamed or getattr(config, f"num_{name}_samples") == 0
        if split not in found and not cut:
            raise _missing(config, name, found)
        sources[name] = split if split in found else train
    return sources


def _missing(config: StudyProtocol, name: str, found: Collection[str]) -> UserError:
    """Return the error for a named split that the dataset lacks."""
    split = getattr(config, f"{name}_split")
    nearest = difflib.get_close_matches(split, found, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    remedy = (
        f"Set {name}_split to one of them"
        if name == "train"
        else f"Set {name}_split to one of them, or to {config.train_split!r} to cut num_{name}_samples rows from it"
    )
    listed = ", ".join(map(str, found))
    return UserError(f"dataset {config.dataset} has no split {split!r}; it has {listed}.{hint} {remedy}.")


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
        others = (example.source_pair, example.earlier, example.references)
        given = (other for other in others if other is not None)
        digest.update(repr((example.id, example.source, example.reference, *given)).encode())
    return digest.hexdigest()[:16]


def _embedded(config: StudyProtocol, sizes: dict[str, int | None]) -> Any:
    from hf_peft_compare.quickstart import load_outcomes, load_stories

    counts = {f"num_{name}_samples": size for name, size in sizes.items() if size is not None}
    missing = {f"num_{name}_samples" for name in SPLITS} - set(counts)
    if missing:
        raise UserError(f"dataset embedded is generated and has no size of its own; set {', '.join(sorted(missing))}.")
    if config.balanced_train_samples:
        raise UserError("balanced_train_samples is true, but dataset embedded is generated; remove the setting.")
    if config.labels_from is not None and config.labels_from.extra_split is not None:
        raise UserError(
            f"labels_from.extra_split is {config.labels_from.extra_split!r}, but dataset embedded is generated and has "
            f"no further split; remove the setting."
        )
    load = load_stories if config.task_type.label_column(config.task_settings) is None else load_outcomes
    return load(**counts, seed=config.data_seed)


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
        raise UserError(
            f"the {name} split is to be cut from train, but num_{name}_samples is not set. Set num_{name}_samples to "
            f"the number of rows, or {name}_split to the name of a split that dataset {config.dataset} has."
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
