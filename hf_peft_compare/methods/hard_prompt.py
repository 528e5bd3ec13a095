"""Hard prompts: a language model is asked in words, with solved examples before the question or without."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field, replace
from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.core.task import AnyTask, Example, Format
from hf_peft_compare.data.answers import NO_ANSWER
from hf_peft_compare.data.completions import completion_format
from hf_peft_compare.data.templates import answer_format, template_parts

ANSWER = "answer"  # the key of a solved example that stands beside its texts


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HardPromptSettings:
    """Settings of every hard prompt.

    Args:
        template: what the model reads, with a placeholder {column} for each text column of the task; None: the task's
            own prompt.
        answers: {label: the words that mean it}, the first of which is scored; a label without an entry has the
            task's.
    """

    template: str | None = None
    answers: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ShotsSettings(HardPromptSettings):
    """Settings of hard prompts that begin with solved examples, each the prompt, a space and the answer.

    Args:
        shots: how many are drawn from train by the run's seed, classes as evenly as it has them; or the examples
            themselves, each {column: text, …, answer: word}.
        separator: what stands after each of them.
    """

    shots: PositiveInt | list[dict[str, Any]] = 4
    separator: str = "\n\n"


def ask(settings: HardPromptSettings, task: AnyTask, task_settings: Any) -> Format:
    """Ask by the template, or by the task's own prompt, and read the answer as the task does.

    Raises:
        UserError: a task without a prompt and no template for it, a template without a placeholder, answers of no
            label.
    """
    labels = task.labels(task_settings)
    if settings.answers and labels is None:
        raise UserError(f"method.answers are the words of labels, and {task.name} has none; leave them out.")
    if settings.template is None:
        return _own_prompt(settings, task, task_settings)
    columns, key = task.text_columns(task_settings), [asdict(task_settings), settings.template, settings.answers]
    if labels is None:
        return completion_format(template_parts(settings.template, columns, key="method.template"), key=key)
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
            f"{task.name} has no prompt, and a class head that nothing has trained tells classes at random. Set "
            f"template, with {placeholders}, to ask the base as a language model."
        )
    if not settings.answers:
        return form
    return task.format(replace(task_settings, answers={**task_settings.answers, **settings.answers}))


def ask_after_shots(
    settings: ShotsSettings, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
) -> Format:
    """Ask after solved examples; only the text that is asked about is ever cut.

    Raises:
        UserError: as `ask`; more shots than examples, or one that is not whole.
    """
    form = ask(settings, task, task_settings)
    if isinstance(settings.shots, int):
        assert form.completion is not None
        solved = [(example, form.completion(example)) for example in draw_shots(train, settings.shots, seed=seed)]
    else:
        solved = list(_given_shots(settings.shots, task, task_settings, form))
    texts = (f"{''.join(form.prompt(example))} {answer}" for example, answer in solved)  # type: ignore[misc]
    return after(form, "".join(f"{text}{settings.separator}" for text in texts))


def after(form: Format, text: str) -> Format:
    """Let a text stand in front of every prompt."""
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
    )


def draw_shots(train: Sequence[Example], num_shots: int, *, seed: int) -> list[Example]:
    """Draw different examples, of each class one before a second of any, in random order.

    Raises:
        UserError: there are fewer.
    """
    different = list({(example.source, example.source_pair): example for example in train}.values())
    if num_shots > len(different):
        raise UserError(
            f"method.shots is {num_shots}, but train has {len(different)} different examples; ask for fewer, or raise "
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
    """Check the solved examples that a study gives, and give each with its answer."""
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
            raise UserError(f"{where} answers {answer!r}, which is not one answer of {labels}; add it to answers.")
        pair = sources[1] if len(sources) > 1 else None
        yield Example(id=str(number), source=sources[0], source_pair=pair, reference=answer), answer
