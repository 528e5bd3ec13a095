"""Instructed classification: a causal LM is asked for the class in a prompt, and its answer is read."""

from __future__ import annotations

from dataclasses import asdict, field
from typing import Literal, TypeVar

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Format
from hf_peft_compare.data.labels import (
    ClassificationSettings,
    ClassificationTask,
    labels_of,
    text_columns,
)
from hf_peft_compare.data.templates import answer_format

# The form of Taori et al. (2023), Stanford Alpaca, for an instruction with an input.
ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{text}\n\n"
    "### Response:"
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InstructedClassificationSettings(ClassificationSettings):
    """Settings of instructed classification.

    Args:
        template: what the model reads, with a placeholder {column} for each text column. {instruction} is replaced by
            `instruction`.
        instruction: what is asked.
        answers: {label: the words that mean it}, the first of which is taught; without an entry a label is its own.
        scoring: "generate": the model writes, and its text is read; "likelihood": the likeliest of the answers is
            taken, so that there always is one.
    """

    template: str = ALPACA
    instruction: str = "Classify the text."
    answers: dict[str, list[str]] = field(default_factory=dict)
    scoring: Literal["generate", "likelihood"] = "generate"


S = TypeVar("S", bound=InstructedClassificationSettings)


def instructed_classification_format(settings: InstructedClassificationSettings) -> Format:
    """Let the model read the template with the example's texts, and write the first of its label's answers.

    Raises:
        UserError: a template without the placeholder of a text, answers of labels that there are not.
    """
    return answer_format(
        settings.template.replace("{instruction}", settings.instruction),
        columns=text_columns(settings),
        labels=labels_of(settings),
        answers=settings.answers,
        scoring=settings.scoring,
        key=asdict(settings),
    )


class InstructedTask(ClassificationTask[S]):
    """A task that asks a causal LM for the class in a prompt."""

    head = "causal_lm"

    def format(self, settings: S) -> Format:
        """Return the filled template as prompt; raises UserError as `instructed_classification_format`."""
        return instructed_classification_format(settings)


class InstructedClassification(InstructedTask[InstructedClassificationSettings]):
    """Classification by a prompt."""

    name = "instructed_classification"
    title = "Instructed classification"
    settings = InstructedClassificationSettings
