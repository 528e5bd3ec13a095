"""The `task:` part of a study, written in Python: one function per task, which takes the names of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from hf_peft_compare.core.task import MetricChoice

TaskSettings: TypeAlias = Mapping[str, Any]


def classification(
    text: str = "text",
    label: str = "label",
    *,
    text_pair: str | None = None,
    labels: Sequence[str] = (),
    id: str | None = None,
) -> TaskSettings:
    """Return the task of telling a text's class, by a head on the model.

    Args:
        text, label, text_pair, id: names of the data set's columns.
        labels: the names of the classes, in the order of their numbers; empty: those that the data has.

    Examples:
        >>> classification(text="message", label="team")
        {'name': 'sequence_classification', 'text_column': 'message', 'label_column': 'team'}
    """
    columns = {"text_column": text, "label_column": label, "text_pair_column": text_pair, "id_column": id}
    return _task("sequence_classification", **columns, labels=labels)


def instructed_classification(
    text: str = "text",
    label: str = "label",
    *,
    text_pair: str | None = None,
    labels: Sequence[str] = (),
    instruction: str | None = None,
    template: str | None = None,
    answers: Mapping[str, Sequence[str]] | None = None,
    scoring: str | None = None,
    id: str | None = None,
) -> TaskSettings:
    """Return the task of asking a causal LM for a text's class.

    Args:
        instruction: what is asked.
        template: what the model reads, with {instruction} and a {column} for each text column.
        answers: {label: the words that mean it}.
        scoring: "generate": the model writes an answer; "likelihood": the likeliest of the answers is taken.

    Examples:
        >>> instructed_classification(label="team", instruction="Which team is it for?")["instruction"]
        'Which team is it for?'
    """
    columns = {"text_column": text, "label_column": label, "text_pair_column": text_pair, "id_column": id}
    asked = {"instruction": instruction, "template": template, "answers": _lists(answers), "scoring": scoring}
    return _task("instructed_classification", **columns, labels=labels, **asked)


def statement_checking(
    statement: str = "statement",
    label: str = "label",
    *,
    template: str | None = None,
    answers: Mapping[str, Sequence[str]] | None = None,
    scoring: str | None = None,
    id: str | None = None,
) -> TaskSettings:
    """Return the task of asking a causal LM whether a statement is true.

    Examples:
        >>> statement_checking("claim")["text_column"]
        'claim'
    """
    asked = {"template": template, "answers": _lists(answers), "scoring": scoring}
    return _task("statement_checking", text_column=statement, label_column=label, id_column=id, **asked)


def summarization(
    article: str = "article",
    summary: str = "highlights",
    *,
    prompt_prefix: str | None = None,
    prompt_suffix: str | None = None,
    id: str | None = None,
) -> TaskSettings:
    r"""Return the task of writing a summary.

    Args:
        prompt_prefix, prompt_suffix: text before and after the article; None: none, and "\n\nTL;DR:".

    Examples:
        >>> summarization(summary="digest")
        {'name': 'summarization', 'article_column': 'article', 'summary_column': 'digest'}
    """
    prompt = {"prompt_prefix": prompt_prefix, "prompt_suffix": prompt_suffix}
    return _task("summarization", article_column=article, summary_column=summary, id_column=id, **prompt)


def instruction_tuning(
    prompt: str = "prompt",
    completion: str = "completion",
    *,
    messages: str | None = None,
    metrics: Sequence[MetricChoice] = (),
    id: str | None = None,
) -> TaskSettings:
    """Return the task of answering instructions, in conversations of one or several turns.

    Args:
        prompt, completion: names of the data set's columns, of texts or lists of messages.
        messages: the column of whole conversations, which alone is read then; None: "messages" if there is one.
        metrics: names, or {name: settings}, the one used for ranking first; empty: ROUGE and exact match.

    Examples:
        >>> instruction_tuning("question", "answer", metrics=["numeric_answer"])["metrics"]
        ['numeric_answer']
    """
    columns = {"prompt_column": prompt, "completion_column": completion}
    if messages is not None:
        columns = {"messages_column": messages}
    task = _task("instruction_tuning", **columns, id_column=id, metrics=list(metrics))
    return task if messages is None else {**task, "prompt_column": None}  # the data may have one, which is not read


def question_answering(
    context: str = "context",
    question: str = "question",
    answers: str = "answers",
    *,
    template: str | None = None,
    metrics: Sequence[MetricChoice] = (),
    id: str | None = None,
) -> TaskSettings:
    """Return the task of answering questions about a passage in words.

    Args:
        answers: SQuAD's {"text": [...]}, lists of texts, or texts.
        template: the prompt, with a {column} for the passage and for the question.
        metrics: names, or {name: settings}, the one used for ranking first; empty: SQuAD's F1 and exact match.

    Examples:
        >>> question_answering(answers="answer")["answers_column"]
        'answer'
    """
    columns = {"context_column": context, "question_column": question, "answers_column": answers, "id_column": id}
    return _task("question_answering", **columns, template=template, metrics=list(metrics))


def visual_question_answering(
    question: str = "question",
    answer: str = "answer",
    image: str = "image_id",
    *,
    num_answers: int | None = None,
    answers: Sequence[str] = (),
    id: str | None = None,
) -> TaskSettings:
    """Return the task of answering questions about images by one of the most frequent words.

    Examples:
        >>> visual_question_answering(num_answers=20)["num_answers"]
        20
    """
    columns = {"question_column": question, "answer_column": answer, "image_column": image, "id_column": id}
    return _task("visual_question_answering", **columns, num_answers=num_answers, answers=answers)


def _task(name: str, **settings: Any) -> TaskSettings:
    """Return a task's settings without those that keep their defaults."""
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    return {"name": name, **{key: value for key, value in given.items() if value is not None and value != []}}


def _lists(answers: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]] | None:
    return None if answers is None else {label: list(words) for label, words in answers.items()}
