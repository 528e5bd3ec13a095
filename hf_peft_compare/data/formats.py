"""The format of a run: how its examples become tokens, as its method says, else its task."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Format


def format_of(config: RunConfig, train: Sequence[Example]) -> Format:
    """Give a run's format.

    Args:
        train: the train examples, from which a method may draw solved ones.

    Raises:
        UserError: settings from which no format can be made.
    """
    method, task = config.method_type, config.task_type
    settings = task.complete(config.task_settings, train)
    own = None
    if method.format is not None:
        try:
            own = method.format(config.method_settings, task, settings, train, config.seed)
        except UserError as error:
            raise UserError(f"{config.row}: {error}") from None
    return own or task.format(settings)


def splits_read(config: RunConfig, examples: Mapping[str, list[Example]]) -> dict[str, list[Example]]:
    """Give the splits that a run's model reads: the test split alone where nothing is trained."""
    trains = config.method_type.trains
    return {name: split for name, split in examples.items() if trains or name == "test"}


def source_of(config: RunConfig, form: Format) -> list[Any]:
    """Give the code that decides a run's tokens, for the name that they are kept under."""
    method, task = config.method_type, config.task_type
    modules = {form.encode.__module__, task.format.__module__}
    if method.format is not None:
        modules.add(method.format.__module__)
    return [inspect.getsource(sys.modules[module]) for module in sorted(modules)]
