"""Give train texts the labels of a teacher, or random mistakes in their place."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.labels_from import NOISE, LabelsFrom
from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.label_file import LabelFile, read_label_file
from hf_peft_compare.data.labels import ClassificationSettings, known_labels, labels_of
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
    config: StudyProtocol,
    teacher: LabelsFrom,
    splits: Mapping[str, Dataset],
    sources: Mapping[str, str],
    *,
    any_labels: bool = False,
) -> tuple[dict[str, Dataset], TrainLabels]:
    """Return the splits with the labels of train, and of validation if the study says so, that a row trains on.

    Args:
        splits: train, validation and test, and EXTRA if the teacher labels more texts.
        sources: the dataset's split that each comes from.
        any_labels: if the teacher's labels are not there yet, take the dataset's, or else the classes in turn.

    Raises:
        UserError: the task has no labels, or the labels cannot be read, are incomplete, or of other data.
    """
    task, settings = config.task_type, config.task_settings
    if not isinstance(settings, ClassificationSettings):
        raise UserError(f"labels_from is set, but task {task.name} has no labels of its own; remove the setting.")
    file = None
    if teacher.exists:
        file = read_label_file(teacher.path, task, settings, column=teacher.column, id_column=teacher.id_column)
    elif not any_labels:
        raise UserError(_missing(teacher))
    made = {name: split for name, split in splits.items() if name != EXTRA}
    made["train"], facts = _train(config, teacher, file, splits)
    if teacher.validation == "teacher":
        if sources["validation"] != sources["train"]:
            raise UserError(
                f"labels_from.validation is teacher, but the validation split is {sources['validation']!r}; only one "
                f"that is cut from train (validation_split: {sources['train']}) can have the teacher's labels."
            )
        gold = known_labels(made["validation"], settings)
        found = _found(config, teacher, file, made["validation"], gold, "validation texts")
        made["validation"] = _labeled(made["validation"], found, settings.label_column)
    return made, facts


def _missing(teacher: LabelsFrom) -> str:
    if teacher.file is not None:
        return f"labels_from.file is {teacher.file}, which does not exist; pass --set labels_from.file=PATH."
    return (
        f"labels_from.run is {teacher.run}, which has not labeled the train texts yet; `hf-peft-compare run` lets it "
        f"do so before anything is trained."
    )


def keeps_label(config: StudyProtocol, teacher: LabelsFrom, splits: Mapping[str, Dataset]) -> list[bool]:
    """Return for each row of train, and of EXTRA after it, whether it keeps the dataset's label.

    Raises:
        UserError: more labels are to be kept than train has rows.
    """
    train, more = splits["train"], EXTRA in splits
    num_kept = teacher.gold_samples if teacher.gold_samples is not None else len(train) if more else 0
    if num_kept > len(train):
        raise UserError(f"labels_from.gold_samples is {num_kept}, but train has {len(train)} rows; set fewer.")
    known = known_labels(train, config.task_settings)
    kept = [place < num_kept and label is not None for place, label in enumerate(known)]
    return kept + [False] * (len(splits[EXTRA]) if more else 0)


def _train(
    config: StudyProtocol, teacher: LabelsFrom, file: LabelFile | None, splits: Mapping[str, Dataset]
) -> tuple[Dataset, TrainLabels]:
    """Return the train split with the labels that a row trains on."""
    from datasets import concatenate_datasets

    column = config.task_settings.label_column
    kept = keeps_label(config, teacher, splits)
    parts = [splits[name] for name in ("train", EXTRA) if name in splits]
    gold = [label for part in parts for label in known_labels(part, config.task_settings)]
    whole = concatenate_datasets([part.remove_columns(column) for part in parts])
    asked = [place for place, keeps in enumerate(kept) if not keeps]
    found = _found(config, teacher, file, whole.select(asked), [gold[place] for place in asked], "train texts")
    told: dict[int, str | None] = {p: label for p, label in zip(asked, found, strict=True) if label is not None}
    compared = [place for place in told if gold[place] is not None]
    facts = TrainLabels(
        teacher=str(teacher.run or teacher.file),
        use="noise" if teacher.use == NOISE else "teacher",
        num_gold=sum(kept),
        num_teacher=len(told),
        num_unread=len(asked) - len(told),
        num_compared=len(compared),
        num_right=sum(gold[place] == told[place] for place in compared),
        validation=teacher.validation,
    )
    if teacher.use == NOISE:
        told = _with_mistakes({place: gold[place] for place in told}, facts.num_compared - facts.num_right, config)
    return _labeled(whole, [gold[p] if keeps else told.get(p) for p, keeps in enumerate(kept)], column), facts


def _found(
    config: StudyProtocol,
    teacher: LabelsFrom,
    file: LabelFile | None,
    split: Dataset,
    gold: Sequence[str | None],
    what: str,
) -> list[str | None]:
    """Return the teacher's labels of the rows of a split; None where its answer could not be read."""
    task, settings = config.task_type, config.task_settings
    if file is None:
        return [label or other for label, other in zip(gold, cycle(labels_of(settings)), strict=False)]
    ids = Ids(split, settings)
    columns = [split[column][:] for column in task.text_columns(settings)]
    found = file.find(
        [tuple(map(str, row)) for row in zip(*columns, strict=True)],
        ids.read(),
        gold,
        what=what,
        are_places=ids.are_places,
    )
    if not teacher.drop_unparsed and None in found:
        raise UserError(
            f"{file.path} has no readable label for {found.count(None):,} of {len(found):,} {what}; set "
            f"labels_from.drop_unparsed=true to leave them out, or label them."
        )
    return found


def _with_mistakes(gold: Mapping[int, str | None], number: int, config: StudyProtocol) -> dict[int, str | None]:
    """Return the labels with so many random mistakes, the same in all runs.

    Raises:
        UserError: a label is not known.
    """
    if unknown := sum(label is None for label in gold.values()):
        raise UserError(
            f"labels_from.use is noise, but {unknown:,} train texts have no label in the dataset that could be "
            f"replaced; set use to teacher, or take texts with labels."
        )
    rng = random.Random(f"noise {config.data_seed}")
    classes = config.task_type.labels(config.task_settings) or ()
    wrong = rng.sample(list(gold), number)
    return {**gold, **{place: rng.choice([name for name in classes if name != gold[place]]) for place in wrong}}


def _labeled(split: Dataset, labels: Sequence[str | None], column: str) -> Dataset:
    """Return a split with these labels, without the rows that have none."""
    bare = split.remove_columns(column) if column in split.column_names else split
    kept = [place for place, label in enumerate(labels) if label is not None]
    labeled: Dataset = bare.select(kept).add_column(column, [labels[place] for place in kept])
    return labeled
