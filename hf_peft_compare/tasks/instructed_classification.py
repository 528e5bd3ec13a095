"""Instructed classification: a prompt asks a language model for the class, and its answer is parsed."""

from __future__ import annotations

from dataclasses import asdict, field
from typing import Literal, TypeVar

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Format
from hf_peft_compare.data.labels import ClassificationSettings, ClassificationTask, labels_of, text_columns
from hf_peft_compare.data.templates import answer_format

# The template of Taori et al. (2023), Stanford Alpaca, for an instruction with an input.
ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{text}\n\n"
    "### Response:"
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InstructedClassificationSettings(ClassificationSettings):
    """Settings of instructed classification.

    Args:
        template: the prompt, with a placeholder {column} for each text column. {instruction} is replaced by
            `instruction`.
        instruction: the instruction to the model.
        answers: {label: the words that mean it}, the first of which is the training target; a label without an
            entry is its own answer.
        scoring: "generate": the generated text is parsed; "likelihood": the most likely answer is the prediction, so
            that there always is one.
    """

    template: str = ALPACA
    instruction: str = "Classify the text."
    answers: dict[str, list[str]] = field(default_factory=dict)
    scoring: Literal["generate", "likelihood"] = "generate"


S = TypeVar("S", bound=InstructedClassificationSettings)


def instructed_classification_format(settings: InstructedClassificationSettings) -> Format:
    """Return the format with the filled template as prompt, and the first answer of the label as completion.

    Raises:
        UserError: the template lacks the placeholder of a text column, or an unknown label has answers.
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
    """A task that asks a language model for the class in a prompt."""

    head = "causal_lm"

    def format(self, settings: S) -> Format:
        """Return the format; raise UserError as `instructed_classification_format` does."""
        return instructed_classification_format(settings)


class InstructedClassification(InstructedTask[InstructedClassificationSettings]):
    """Classification with a prompt."""

    name = "instructed_classification"
    title = "Instructed classification"
    settings = InstructedClassificationSettings
