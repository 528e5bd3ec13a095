"""What a record says of train labels that are not the dataset's."""

from __future__ import annotations

from typing import Literal

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainLabels:
    """The labels that a run was trained on, if they are not the dataset's.

    Args:
        teacher: the run or file that they come from.
        use: "teacher": its labels; "noise": the dataset's, with as many random mistakes as the teacher has made.
        num_gold: train examples that keep the dataset's label.
        num_teacher: the others.
        num_unread: texts left out because the teacher's answer could not be read.
        num_compared: of `num_teacher`, those whose label in the dataset is known.
        num_right: of these, those whose label is the same.
        validation: whose labels the validation split has, "gold" or "teacher".
    """

    teacher: str
    use: Literal["teacher", "noise"]
    num_gold: int
    num_teacher: int
    num_unread: int
    num_compared: int
    num_right: int
    validation: Literal["gold", "teacher"] = "gold"

    @property
    def accuracy(self) -> float | None:
        """The share of right labels among those that are not the dataset's; None: unknown."""
        return self.num_right / self.num_compared if self.num_compared else None
