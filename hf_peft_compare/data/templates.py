"""Templates: prompts with a placeholder {column} for each text of an example, and the words that answer them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Format, PromptParts
from hf_peft_compare.data.answers import read_answer, words_of
from hf_peft_compare.data.completions import completion_format

PLACEHOLDER = re.compile(r"\{(\w+)\}")


def answer_format(
    template: str,
    *,
    columns: Sequence[str],
    labels: Sequence[str],
    answers: Mapping[str, Sequence[str]],
    scoring: str,
    key: object,
    where: str = "task",
) -> Format:
    """Return the format that asks for a label with a template and parses the answer.

    Args:
        columns: the text columns.
        where: the name of the settings, for errors.
    """
    spellings = all_answers(labels, answers, where=where)
    if scoring == "generate":
        _check_readable(spellings, where=where)
    return completion_format(
        template_parts(template, columns, key=f"{where}.template"),
        key=key,
        completion=lambda example: spellings[example.reference][0],
        read=partial(read_answer, answers=spellings),
        candidates=labels if scoring == "likelihood" else (),
        metrics=() if scoring == "likelihood" else ("no_answer",),
    )


def all_answers(
    labels: Sequence[str], answers: Mapping[str, Sequence[str]], *, where: str = "task"
) -> dict[str, list[str]]:
    """Return the words that mean each label, by default its name.

    Raises:
        UserError: an unknown label has answers, a label has none, or two labels share a word.
    """
    unknown = [label for label in answers if label not in labels]
    if unknown:
        raise UserError(
            f"{where}.answers has {unknown[0]!r}, which is not a label; the labels are {', '.join(labels)}."
        )
    spellings = {label: list(answers.get(label, [label])) for label in labels}
    words = [word.lower() for several in spellings.values() for word in several]
    if not all(spellings.values()) or len(set(words)) < len(words):
        raise UserError(f"{where}.answers is {spellings}; expected at least one word per label, without duplicates.")
    return spellings


def _check_readable(spellings: Mapping[str, Sequence[str]], *, where: str) -> None:
    """Raise UserError unless each answer has words, and others than those of another label."""
    owners: dict[tuple[str, ...], tuple[str, str]] = {}
    for label, several in spellings.items():
        for spelling in several:
            owner, other = owners.setdefault(words_of(spelling), (label, spelling))
            if owner != label or not words_of(spelling):
                problem = "has no letter and no digit" if owner == label else f"is read as {other!r} is"
                raise UserError(
                    f"the answer {spelling!r} to label {label!r} {problem}: case and punctuation do not count. Set "
                    f"{where}.answers to words for each label, or task.scoring=likelihood."
                )


def template_parts(template: str, columns: Sequence[str], *, key: str) -> Callable[[Example], PromptParts]:
    """Return a function that fills a template with an example's texts.

    Args:
        key: the name of the template's setting, for errors.
    """
    check_template(template, columns, key=key)
    return partial(fill, template, columns)


def check_template(template: str, columns: Sequence[str], *, key: str) -> None:
    """Raise UserError unless a template has a placeholder for each text column, and no others.

    Args:
        key: the name of the template's setting, for the error.
    """
    found = PLACEHOLDER.findall(template)
    missing = [column for column in columns if column not in found]
    unknown = [name for name in found if name not in columns]
    if missing or unknown:
        problem = f"has no {{{missing[0]}}}" if missing else f"has {{{unknown[0]}}}, which is not a text column"
        expected = ", ".join(f"{{{column}}}" for column in columns)
        raise UserError(
            f"{key} {problem}; expected {expected}, which are replaced by the texts of an example: {template!r}"
        )


def fill(template: str, columns: Sequence[str], example: Example) -> PromptParts:
    """Fill in an example's texts; the text of the first placeholder is the part that may be truncated.

    Spaces before it belong to the same part, since a tokenizer that reads the whole prompt merges them with the text.
    """
    texts = dict(zip(columns, (example.source, example.source_pair), strict=False))
    first = PLACEHOLDER.search(template)
    assert first is not None, "checked before"

    def filled(text: str) -> str:
        return PLACEHOLDER.sub(lambda match: str(texts[match[1]]), text)

    before = template[: first.start()]
    prefix = before.rstrip(" ")
    return prefix, before[len(prefix) :] + str(texts[first[1]]), filled(template[first.end() :])
