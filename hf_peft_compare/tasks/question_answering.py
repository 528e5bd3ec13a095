"""Question answering: a causal LM reads a passage and a question, and writes the answer that the passage has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError, shorten
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Format, MetricChoice, Task
from hf_peft_compare.data.columns import check_columns, row_ids, text_of
from hf_peft_compare.data.completions import completion_format
from hf_peft_compare.data.templates import template_parts

if TYPE_CHECKING:
    from datasets import Dataset

INSTRUCTION = "Answer with a few words of the text:"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class QuestionAnsweringSettings:
    """Settings of question answering.

    Args:
        context_column, question_column: names of the dataset's columns.
        answers_column: the column of the answers: SQuAD's {text: [...]}, a list of texts, or one text. All are correct,
            the first one is learned; an empty text or list says that the passage has no answer.
        id_column: a column of row ids; if it is missing or None, rows are numbered.
        template: the prompt, with a placeholder {column} for the passage's and the question's column, of which the text
            of the first is cut if the prompt is too long; None: the passage, the question, and a line that asks for a
            short answer.
        metrics: the metrics of an answer, the one used for ranking first: names, or {name: settings}.
    """

    context_column: str = "context"
    question_column: str = "question"
    answers_column: str = "answers"
    id_column: str | None = "id"
    template: str | None = None
    metrics: list[MetricChoice] = field(default_factory=lambda: ["squad"])


def questions(dataset: Dataset, settings: QuestionAnsweringSettings) -> list[Example]:
    """Read the passages, questions and answers of a split.

    Raises:
        UserError: a column is missing, a passage or question is empty, or an answer is no text.
    """
    check_columns(dataset, settings, ("context_column", "question_column", "answers_column"))
    columns = (settings.context_column, settings.question_column, settings.answers_column)
    rows = zip(row_ids(dataset, settings.id_column), *(dataset[column] for column in columns), strict=True)
    examples = []
    for i, context, question, value in rows:
        answers = _answers(value, settings.answers_column, i)
        examples.append(
            Example(
                id=i,
                source=text_of(context, "context", i),
                source_pair=text_of(question, "question", i),
                reference=answers[0],
                references=answers if len(answers) > 1 else None,
            )
        )
    return examples


def _answers(value: object, column: str, row: str) -> tuple[str, ...]:
    """Return the different answers of a row, the empty one if there is none."""
    found = value.get("text") if isinstance(value, Mapping) else value
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"column {column!r} of row {row} is {shorten(repr(value), 100)}; expected {{text: [...]}}, a list of texts "
            f"or a text, which are empty if there is no answer. Mend the row, or set task.answers_column."
        )
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip())) or ("",)


class QuestionAnswering(Task[QuestionAnsweringSettings]):
    """Questions about a passage, answered in words by a causal LM.

    Scores are SQuAD's, per question the best over its correct answers.
    """

    name = "question_answering"
    title = "Question answering"
    head = "causal_lm"
    settings = QuestionAnsweringSettings
    metrics = ("squad",)

    def examples(self, dataset: Dataset, settings: QuestionAnsweringSettings) -> list[Example]:
        """Return the questions of a split; raise UserError as `questions` does."""
        return questions(dataset, settings)

    def format(self, settings: QuestionAnsweringSettings) -> Format:
        """Return the format with the filled template as prompt; raise UserError if it lacks a placeholder."""
        key = {name: value for name, value in asdict(settings).items() if name != "metrics"}
        columns = self.text_columns(settings)
        default = f"{{{columns[0]}}}\n\nQuestion: {{{columns[1]}}}\n{INSTRUCTION}"
        return completion_format(template_parts(settings.template or default, columns, key="task.template"), key=key)

    def text_columns(self, settings: QuestionAnsweringSettings) -> Sequence[str]:
        """Return the columns of the passage and of the question."""
        return [settings.context_column, settings.question_column]
