"""Give train texts the labels of a teacher, or random mistakes in their place."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.labels_from import NOISE, LabelsFrom
from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.label_file import LabelFile, read_label_file
from hf_peft_compare.data.labels import ClassificationSettings, known_labels
from hf_peft_compare.records.train_labels import TrainLabels

if TYPE_CHECKING:
    from datasets import Dataset

PLACE = "__place_in_split__"  # the column with a row's number in the dataset's own split
EXTRA = "extra"  # the split of texts that only the teacher labels


def with_places(split: Dataset) -> Dataset:
    """Return a split with the number of each row, which stays with it when rows are chosen."""
    import numpy as np

    added: Dataset = split.add_column(PLACE, np.arange(len(split)))
    return added


@dataclass(frozen=True)
class Ids:
    """The ids by which files made elsewhere name the rows of a split; read when they are asked for."""

    split: Dataset
    settings: Any

    @property
    def are_places(self) -> bool:
        """Whether the dataset has no ids, so that rows have their numbers."""
        return getattr(self.settings, "id_column", None) not in self.split.column_names

    def read(self) -> list[str]:
        """Return the id of each row, in order."""
        return list(map(str, self.split[PLACE if self.are_places else self.settings.id_column][:]))


def with_teacher_labels(
    config: StudyProtocol, teacher: LabelsFrom, splits: Mapping[str, Dataset], sources: Mapping[str, str]
) -> tuple[dict[str, Dataset], TrainLabels]:
    """Return the splits with the labels of train, and of validation if the study says so, that a row trains on.

    Args:
        splits: train, validation and test, and EXTRA if the teacher labels more texts.
        sources: the dataset's split that each comes from.

    Raises:
        UserError: the task has no labels, or the labels cannot be read, are incomplete, or of other data.
    """
    task, settings = config.task_type, config.task_settings
    if not isinstance(settings, ClassificationSettings):
        raise UserError(f"labels_from is set, but task {task.name} has no labels of its own; remove the setting.")
    if not teacher.exists:
        raise UserError(_missing(teacher))
    file = read_label_file(teacher.path, task, settings, column=teacher.column, id_column=teacher.id_column)
    made = dict(splits)
    made["train"], facts = _train(config, teacher, file, made["train"], made.pop(EXTRA, None))
    if teacher.validation == "teacher":
        if sources["validation"] != sources["train"]:
            raise UserError(
                f"labels_from.validation is teacher, but the validation split is {sources['validation']!r}; only one "
                f"that is cut from train (validation_split: {sources['train']}) can have the teacher's labels."
            )
        found = _found(config, teacher, file, made["validation"], "validation texts")
        made["validation"] = _labeled(made["validation"], found, settings.label_column)
    return made, facts


def _missing(teacher: LabelsFrom) -> str:
    if teacher.file is not None:
        return f"labels_from.file is {teacher.file}, which does not exist; pass --set labels_from.file=PATH."
    return (
        f"labels_from.run is {teacher.run}, which has not labeled the train texts yet; `hf-peft-compare run` lets it "
        f"do so before anything is trained."
    )


def _train(
    config: StudyProtocol, teacher: LabelsFrom, file: LabelFile, train: Dataset, extra: Dataset | None
) -> tuple[Dataset, TrainLabels]:
    from datasets import concatenate_datasets

    settings, column = config.task_settings, config.task_settings.label_column
    gold = known_labels(train, settings)
    found = _found(config, teacher, file, train, "train texts")
    num_gold = teacher.gold_samples if teacher.gold_samples is not None else 0 if extra is None else len(train)
    if num_gold > len(train):
        raise UserError(f"labels_from.gold_samples is {num_gold}, but train has {len(train)} rows; set fewer.")
    if extra is not None:
        gold += known_labels(extra, settings)
        found += _found(config, teacher, file, extra, f"texts of {teacher.extra_split}")
        train = concatenate_datasets([train.remove_columns(column), extra.remove_columns(column)])
    keeps = [place < num_gold and name is not None for place, name in enumerate(gold)]
    replaced = [place for place, kept in enumerate(keeps) if not kept and found[place] is not None]
    compared = [place for place in replaced if gold[place] is not None]
    right = sum(gold[place] == found[place] for place in compared)
    told = found
    if teacher.use == NOISE:
        if len(compared) < len(replaced):
            raise UserError(
                f"labels_from.use is noise, but {len(replaced) - len(compared):,} train texts have no label in the "
                f"dataset that could be flipped; use teacher, or train texts with labels."
            )
        told = _flipped(gold, compared, len(compared) - right, config)
    read = set(replaced)
    chosen = [gold[place] if kept else told[place] if place in read else None for place, kept in enumerate(keeps)]
    facts = TrainLabels(
        teacher=str(teacher.run or teacher.file),
        use="noise" if teacher.use == NOISE else "teacher",
        num_gold=sum(keeps),
        num_teacher=len(replaced),
        num_unread=len(chosen) - sum(keeps) - len(replaced),
        num_compared=len(compared),
        num_right=right,
        validation=teacher.validation,
    )
    return _labeled(train, chosen, column), facts


def _found(config: StudyProtocol, teacher: LabelsFrom, file: LabelFile, split: Dataset, what: str) -> list[str | None]:
    """Return the teacher's labels of the rows of a split; None where its answer could not be read."""
    task, settings = config.task_type, config.task_settings
    ids = Ids(split, settings)
    columns = [split[column][:] for column in task.text_columns(settings)]
    found = file.find(
        [tuple(map(str, row)) for row in zip(*columns, strict=True)],
        ids.read(),
        known_labels(split, settings),
        what=what,
        are_places=ids.are_places,
    )
    if not teacher.drop_unparsed and None in found:
        raise UserError(
            f"{file.path} has no readable label for {found.count(None):,} of {len(found):,} {what}; set "
            f"labels_from.drop_unparsed=true to leave them out, or label them."
        )
    return found


def _flipped(gold: Sequence[str | None], places: Sequence[int], number: int, config: StudyProtocol) -> list[str | None]:
    """Return the labels with so many random mistakes, the same in all runs."""
    rng = random.Random(f"noise {config.data_seed}")
    labels = list(config.task_type.labels(config.task_settings) or ())
    noisy = list(gold)
    for place in rng.sample(list(places), number):
        noisy[place] = rng.choice([label for label in labels if label != gold[place]])
    return noisy


def _labeled(split: Dataset, labels: Sequence[str | None], column: str) -> Dataset:
    """Return a split with these labels, without the rows that have none."""
    bare = split.remove_columns(column) if column in split.column_names else split
    kept = [place for place, label in enumerate(labels) if label is not None]
    labeled: Dataset = bare.select(kept).add_column(column, [labels[place] for place in kept])
    return labeled
