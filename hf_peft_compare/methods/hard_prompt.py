"""Hard prompts: text prompts for a language model, with or without solved examples before the question."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field, replace
from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.core.task import AnyTask, Example, Format, Turn
from hf_peft_compare.data.answers import NO_ANSWER
from hf_peft_compare.data.completions import completion_format
from hf_peft_compare.data.templates import answer_format, template_parts

ANSWER = "answer"  # the key of the answer in a solved example


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HardPromptSettings:
    """Settings of all hard prompts.

    Args:
        template: the prompt, with a placeholder {column} for each text column of the task; None: the task's own prompt.
        answers: {label: the words that mean it}, the first of which is scored; a label without an entry uses the
            task's.
    """

    template: str | None = None
    answers: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ShotsSettings(HardPromptSettings):
    """Settings of hard prompts that begin with solved examples, each of which is the prompt, a space and the answer.

    Args:
        shots: number of examples to draw from train with the run's seed, balanced over classes as far as possible; or
            the examples themselves, each {column: text, …, answer: word}.
        separator: the text after each example, at which a generated answer ends too: a model that is no chat model goes
            on with an example of its own.
    """

    shots: PositiveInt | list[dict[str, Any]] = 4
    separator: str = "\n\n"


def prompt_format(settings: HardPromptSettings, task: AnyTask, task_settings: Any) -> Format:
    """Return the format with the template, or the task's own prompt; answers are parsed as in the task.

    Raises:
        UserError: neither task nor settings define a prompt, the template lacks a placeholder, or answers belong to no
            label.
    """
    labels = task.labels(task_settings)
    if settings.answers and labels is None:
        raise UserError(
            f"method.answers is {settings.answers}, but task {task.name} has no labels; remove the setting."
        )
    if settings.template is None:
        return _own_prompt(settings, task, task_settings)
    columns, key = task.text_columns(task_settings), [asdict(task_settings), settings.template, settings.answers]
    if labels is None:
        parts = template_parts(settings.template, columns, key="method.template")
        own = task.format(task_settings)
        return replace(completion_format(parts, key=key), conversation=own.conversation)
    return answer_format(
        settings.template,
        columns=columns,
        labels=labels,
        answers={**getattr(task_settings, "answers", {}), **settings.answers},
        scoring=getattr(task_settings, "scoring", "generate"),
        key=key,
        where="method",
    )


def _own_prompt(settings: HardPromptSettings, task: AnyTask, task_settings: Any) -> Format:
    form = task.format(task_settings)
    if form.prompt is None:
        placeholders = " ".join(f"{{{column}}}" for column in task.text_columns(task_settings))
        raise UserError(
            f"task {task.name} has no prompt, and an untrained class head predicts classes at random. Set "
            f"template, with {placeholders}, to prompt the base as a language model."
        )
    if not settings.answers:
        return form
    return task.format(replace(task_settings, answers={**task_settings.answers, **settings.answers}))


def format_with_shots(
    settings: ShotsSettings, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
) -> Format:
    """Return the format with solved examples before the prompt; only the text of the question itself is truncated.

    Raises:
        UserError: as `prompt_format` raises; there are more shots than examples, or a shot is incomplete.
    """
    form = prompt_format(settings, task, task_settings)
    if isinstance(settings.shots, int):
        assert form.completion is not None
        solved = [(example, form.completion(example)) for example in draw_shots(train, settings.shots, seed=seed)]
    else:
        solved = list(_given_shots(settings.shots, task, task_settings, form))
    assert form.prompt is not None
    shown = [("".join(form.prompt(example)), answer) for example, answer in solved]
    text = "".join(f"{prompt} {answer}{settings.separator}" for prompt, answer in shown)
    turns: list[Turn] = []
    for (example, _), (prompt, answer) in zip(solved, shown, strict=True):
        turns += [turn for turn in example.scored.earlier or () if turn.role != "system"]  # a chat has one, its own
        turns += [Turn(role="user", text=prompt), Turn(role="assistant", text=answer)]
    return replace(prepend(form, text), prompt=form.prompt, solved=turns, stop=settings.separator or None)


def prepend(form: Format, text: str) -> Format:
    """Return a format whose prompts begin with a text."""
    assert form.prompt is not None and form.completion is not None
    own = form.prompt

    def prompt(example: Example) -> tuple[str, str, str]:
        before, middle, end = own(example)
        return text + before, middle, end

    return completion_format(
        prompt,
        key=[form.key, text],
        completion=form.completion,
        read=form.read,
        candidates=form.candidates,
        metrics=form.metrics,
        conversation=form.conversation,
    )


def draw_shots(train: Sequence[Example], num_shots: int, *, seed: int) -> list[Example]:
    """Return distinct random examples in random order, balanced over classes as far as possible.

    Raises:
        UserError: there are fewer distinct examples.
    """
    different = list({example.texts: example for example in train}.values())
    if num_shots > len(different):
        raise UserError(
            f"method.shots is {num_shots}, but train has {len(different)} different examples; set fewer, or raise "
            f"num_train_samples."
        )
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    turns = []
    for example in rng.sample(different, len(different)):
        turns.append((seen[example.reference], example))
        seen[example.reference] += 1
    chosen = [example for _, example in sorted(turns, key=lambda turn: turn[0])[:num_shots]]
    return rng.sample(chosen, num_shots)


def _given_shots(
    shots: Sequence[Mapping[str, object]], task: AnyTask, task_settings: object, form: Format
) -> Iterator[tuple[Example, str]]:
    """Check the solved examples of a study; yield each with its answer."""
    columns = task.text_columns(task_settings)
    for number, shot in enumerate(shots, start=1):
        where = f"method.shots, solved example {number},"
        texts = [shot.get(column) for column in (*columns, ANSWER)]
        if len(shot) != len(texts) or not all(isinstance(text, str) and text.strip() for text in texts):
            expected = ", ".join((*columns, ANSWER))
            raise UserError(f"{where} is {shot}; expected texts for {expected}. Quote what YAML reads as true or 1.")
        *sources, answer = map(str, texts)
        if form.read is not None and form.read(answer) == NO_ANSWER:
            labels = ", ".join(task.labels(task_settings) or ())
            raise UserError(
                f"{where} answers {answer!r}, which does not match one of the labels {labels}; add it to answers."
            )
        pair = sources[1] if len(sources) > 1 else None
        yield Example(id=str(number), source=sources[0], source_pair=pair, reference=answer), answer
