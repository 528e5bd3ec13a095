"""The answers of a run's model and of its untouched base in a task of lm-evaluation-harness."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT

Bits = Annotated[str, Field(pattern="^[01]+$")]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Answers:
    """Which documents of a task of lm-evaluation-harness were answered rightly.

    Args:
        tuned, untouched: a 1 or a 0 per document in the task's order, of the adapted model and of its base.
    """

    tuned: Bits
    untouched: Bits

    def __post_init__(self) -> None:
        """Raise ValueError if the two models did not answer the same number of documents."""
        if len(self.tuned) != len(self.untouched):
            raise ValueError(f"tuned has {len(self.tuned)} documents, untouched {len(self.untouched)}")

    @property
    def changes(self) -> list[int]:
        """1 for a document that only the adapted model answers rightly, -1 for one that only its base does, else 0."""
        return [int(after) - int(before) for after, before in zip(self.tuned, self.untouched, strict=True)]
