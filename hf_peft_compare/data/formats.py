"""The format of a run: how its examples become tokens, defined by its method, otherwise by its task."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Format
from hf_peft_compare.data.chat import as_chat
from hf_peft_compare.data.completions import as_two_texts


def format_of(config: RunConfig, train: Sequence[Example]) -> Format:
    """Return a run's format; prompts are messages where its tokenizer has a chat template, unless the run says text.

    Args:
        train: the train examples, from which a method may draw solved examples.

    Raises:
        UserError: the settings do not define a valid format.
    """
    task = config.task_type
    settings = task.complete(config.task_settings, train)
    try:
        own = config.method_type.format(config.method_settings, task, settings, train, config.seed)
    except UserError as error:
        raise UserError(f"{config.row}: {error}") from None
    form = own or task.format(settings)
    if not config.is_encoder_decoder:
        return as_chat(form, config)
    if form.conversation:
        raise UserError(
            f"{config.model_name_or_path} is an encoder-decoder, which reads one text and writes another, and the "
            f"examples of task {task.name} are conversations; choose a base that goes on with a text, such as GPT-2."
        )
    return as_chat(as_two_texts(form), config)


def splits_read(config: RunConfig, examples: Mapping[str, list[Example]]) -> dict[str, list[Example]]:
    """Return the splits that a run's model reads: all of them, or only the test split if the method does not train."""
    trains = config.method_type.trains
    return {name: split for name, split in examples.items() if trains or name == "test"}


def source_of(config: RunConfig, form: Format) -> list[str]:
    """Return the source code that determines a run's tokens; it is part of the key of the token cache."""
    functions: list[Callable[..., object] | None] = [form.encode, form.prompt, form.completion, config.task_type.format]
    if config.method_type.has_format:
        functions.append(config.method_type.format)
    modules = {function.__module__ for function in functions if function is not None}
    return [inspect.getsource(sys.modules[module]) for module in sorted(modules)]
