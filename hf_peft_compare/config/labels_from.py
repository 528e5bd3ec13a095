"""The setting that takes the labels of train texts from a teacher: a finished run, or a file of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT, LocalOrHub, NonNegativeInt, PositiveInt
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import RECORD_FILE
from hf_peft_compare.utils.hashing import hash_json

GOLD, TEACHER, NOISE = "gold", "teacher", "noise"


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class LabelsFrom:
    """A teacher, and what of its labels a row trains on; the test split always has the dataset's labels.

    Args:
        run: the folder of a finished run, which labels the texts before anything is trained.
        file: a file of labels (parquet, jsonl, json, csv), such as `predict --output` writes, or a run's
            predictions.jsonl. A label belongs to the text with the same content, or else with the same id.
        use: "teacher": train on its labels; "gold": on the dataset's, as if no teacher was set; "noise": on the
            dataset's, as many of which are replaced by a random other one as the teacher has wrong.
        gold_samples: the first so many train texts keep the dataset's labels; None: none, or, with an
            `extra_split`, all of the train split.
        extra_split: a split of the dataset whose texts the teacher labels, and which are added to those of train; its
            own labels may be missing.
        num_extra_samples: so many of them, a seeded choice; None: all.
        column: the file's column of labels: names of the task's classes or their indices; None: `answer` if it is not
            the dataset's own, or else `prediction`.
        id_column: the file's column of ids: those of the dataset, or else the rows' numbers in their split, from 0, as
            texts such as unsupervised/0 for those of `extra_split`.
        drop_unparsed: leave out texts to which the teacher's answer could not be read; false: refuse them.
        validation: the labels of the validation split, whose loss chooses learning rate and state; "teacher" only if
            it is cut from train.
    """

    run: LocalOrHub | None = None
    file: LocalOrHub | None = None
    use: Literal["teacher", "gold", "noise"] = "teacher"
    gold_samples: NonNegativeInt | None = None
    extra_split: str | None = None
    num_extra_samples: PositiveInt | None = None
    column: str | None = None
    id_column: str = "id"
    drop_unparsed: bool = True
    validation: Literal["gold", "teacher"] = "gold"

    def __post_init__(self) -> None:
        """Raise ValueError unless there is exactly one teacher."""
        if (self.run is None) == (self.file is None):
            raise ValueError(f"run is {self.run!r} and file is {self.file!r}; expected exactly one of them")

    @property
    def path(self) -> Path:
        """The file of labels: a run's are kept in its folder, under a name that changes with its model.

        Raises:
            UserError: there is no finished run in the folder.
        """
        if self.run is None:
            return Path(str(self.file))
        record = read_record(Path(self.run))
        if not record.finished:
            raise UserError(
                f"labels_from.run is {self.run}, which failed ({record.error}); run its study again, or name another."
            )
        return Path(self.run) / f"labels-{hash_json([record.config_hash, record.final_trainables_sha256])}.jsonl"

    @property
    def found(self) -> Path | None:
        """The file of labels; None if it is not there. Raise UserError as `path` does for a run that failed."""
        if self.run is not None and not Path(self.run, RECORD_FILE).is_file():
            return None
        return path if (path := self.path).is_file() else None
