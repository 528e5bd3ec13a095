"""Replace the labels of train texts by those of a teacher, or by random mistakes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from hf_peft_compare.config.labels_from import NOISE, LabelsFrom
from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError, shorten
from hf_peft_compare.data.columns import PLACE, Ids, check_columns
from hf_peft_compare.data.label_file import LabelFile, read_label_file
from hf_peft_compare.data.labels import ClassificationSettings, checked_texts, known_labels, labels_of, text_keys
from hf_peft_compare.records.train_labels import TrainLabels

if TYPE_CHECKING:
    from datasets import Dataset

EXTRA = "extra"  # the split of texts that only the teacher labels


@dataclass(frozen=True, kw_only=True)
class _Train:
    """The rows of train, and of EXTRA after them.

    Args:
        rows: without labels.
        gold: the dataset's label of each row; None: unknown.
        asked: the places of the rows that do not keep it.
    """

    rows: Dataset
    gold: list[str | None]
    asked: list[int]


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
    check_has_labels(config)
    _check_validation(teacher, sources)
    settings, file = config.task_settings, None
    if (path := teacher.found) is not None:
        file = read_label_file(path, config.task_type, settings, column=teacher.column, id_column=teacher.id_column)
    elif not any_labels:
        raise UserError(_missing(teacher))
    made = {name: split for name, split in splits.items() if name != EXTRA}
    made["train"], facts = _train(config, teacher, file, splits)
    if teacher.validation == "teacher":
        gold = known_labels(made["validation"], settings)
        found = _found(config, teacher, file, made["validation"], gold, "validation texts")
        made["validation"] = _labeled(made["validation"], found, settings.label_column)
    return made, facts


def texts_to_label(
    config: StudyProtocol, teacher: LabelsFrom, splits: Mapping[str, Dataset], sources: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Return the texts whose labels `with_teacher_labels` looks for.

    Raises:
        UserError: as there; a text is empty or no text.
    """
    _check_validation(teacher, sources)
    train = _rows(config, teacher, splits)
    asked = [train.rows.select(train.asked)] + [splits["validation"]] * (teacher.validation == "teacher")
    return [row for split in asked for row in _texts(config, split)]


def check_has_labels(config: StudyProtocol) -> None:
    """Raise UserError unless the task of a study has labels, which a teacher can give."""
    if not isinstance(config.task_settings, ClassificationSettings):
        name = config.task_type.name
        raise UserError(f"labels_from is set, but task {name} has no labels of its own; remove the setting.")


def _check_validation(teacher: LabelsFrom, sources: Mapping[str, str]) -> None:
    if teacher.validation == "teacher" and sources["validation"] != sources["train"]:
        raise UserError(
            f"labels_from.validation is teacher, but the validation split is {sources['validation']!r}; only one "
            f"that is cut from train (validation_split: {sources['train']}) can have the teacher's labels."
        )


def _missing(teacher: LabelsFrom) -> str:
    if teacher.file is not None:
        return f"labels_from.file is {teacher.file}, which does not exist; pass --set labels_from.file=PATH."
    return (
        f"labels_from.run is {teacher.run}, which has not labeled the train texts yet; `hf-peft-compare run` lets it "
        f"do so before anything is trained."
    )


def _rows(config: StudyProtocol, teacher: LabelsFrom, splits: Mapping[str, Dataset]) -> _Train:
    """Return the rows of train, and of EXTRA after them, with their labels in the dataset.

    Raises:
        UserError: more labels are to be kept than train has rows, or the columns of the two do not go together.
    """
    settings, train = config.task_settings, splits["train"]
    num_kept = teacher.gold_samples if teacher.gold_samples is not None else len(train) if EXTRA in splits else 0
    if num_kept > len(train):
        raise UserError(f"labels_from.gold_samples is {num_kept}, but train has {len(train)} rows; set fewer.")
    gold = known_labels(train, settings)
    rows = _without(train, settings.label_column)
    if (extra := splits.get(EXTRA)) is not None:
        check_columns(extra, settings, text_keys(settings))
        has_labels = settings.label_column in extra.column_names
        gold += known_labels(extra, settings) if has_labels else [None] * len(extra)
        rows = _joined(rows, _without(extra, settings.label_column), str(teacher.extra_split), settings.id_column)
    asked = [place for place, label in enumerate(gold) if place >= num_kept or label is None]
    return _Train(rows=rows, gold=gold, asked=asked)


def _joined(train: Dataset, extra: Dataset, name: str, id_column: str | None) -> Dataset:
    """Return two splits as one, in which rows without an id have numbers that tell the splits apart."""
    from datasets import concatenate_datasets

    parts = [
        _with(split, PLACE, [f"{prefix}{number}" for number in split[PLACE][:]])
        for split, prefix in ((train, ""), (extra, f"{name}/"))
    ]
    if id_column is not None and len({id_column in split.column_names for split in parts}) == 2:
        parts = [_with(split, id_column, Ids(split, id_column).read()) for split in parts]
    try:
        joined: Dataset = concatenate_datasets(parts)
    except ValueError as error:
        raise UserError(
            f"the columns of split {name!r}, which labels_from.extra_split adds to train, are not those of train: "
            f"{shorten(str(error), 200)} Remove these columns, or give them the same type."
        ) from None
    return joined


def _train(
    config: StudyProtocol, teacher: LabelsFrom, file: LabelFile | None, splits: Mapping[str, Dataset]
) -> tuple[Dataset, TrainLabels]:
    """Return the train split with the labels that a row trains on."""
    train = _rows(config, teacher, splits)
    gold, asked = train.gold, train.asked
    found = _found(config, teacher, file, train.rows.select(asked), [gold[place] for place in asked], "train texts")
    told: dict[int, str | None] = {p: label for p, label in zip(asked, found, strict=True) if label is not None}
    compared = [place for place in told if gold[place] is not None]
    facts = TrainLabels(
        teacher=str(teacher.run or teacher.file),
        use="noise" if teacher.use == NOISE else "teacher",
        num_gold=len(gold) - len(asked),
        num_teacher=len(told),
        num_unread=len(asked) - len(told),
        num_compared=len(compared),
        num_right=sum(gold[place] == told[place] for place in compared),
        validation=teacher.validation,
    )
    if teacher.use == NOISE:
        told = _with_mistakes({place: gold[place] for place in told}, facts.num_compared - facts.num_right, config)
    labels = {**dict(enumerate(gold)), **dict.fromkeys(asked), **told}
    return _labeled(train.rows, list(labels.values()), config.task_settings.label_column), facts


def _found(
    config: StudyProtocol,
    teacher: LabelsFrom,
    file: LabelFile | None,
    split: Dataset,
    gold: Sequence[str | None],
    what: str,
) -> list[str | None]:
    """Return the teacher's labels of the rows of a split; None where its answer could not be read."""
    if file is None:
        return [label or other for label, other in zip(gold, cycle(labels_of(config.task_settings)), strict=False)]
    ids = Ids(split, config.task_settings.id_column)
    found = file.find(_texts(config, split), ids.read(), gold, what=what, are_places=ids.are_places)
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


def _texts(config: StudyProtocol, split: Dataset) -> list[tuple[str, ...]]:
    return checked_texts(split, config.task_settings, Ids(split, config.task_settings.id_column).read())


def _labeled(split: Dataset, labels: Sequence[str | None], column: str) -> Dataset:
    """Return a split with these labels, without the rows that have none."""
    kept = [place for place, label in enumerate(labels) if label is not None]
    return _with(_without(split, column).select(kept), column, [labels[place] for place in kept])


def _with(split: Dataset, column: str, values: Sequence[str | None]) -> Dataset:
    added: Dataset = _without(split, column).add_column(column, list(values))
    return added


def _without(split: Dataset, column: str) -> Dataset:
    return split.remove_columns(column) if column in split.column_names else split
