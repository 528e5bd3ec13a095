"""Every key of a study with its type, default and meaning, from the dataclasses that check studies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from hf_peft_compare.config.labels_from import LabelsFrom
from hf_peft_compare.config.protocol import ROW_PROTOCOL, StudyProtocol
from hf_peft_compare.config.references import References
from hf_peft_compare.config.schema import StudyConfig, Tune
from hf_peft_compare.config.tracking import TrackingConfig
from hf_peft_compare.config.training import GenerationConfig, TrainingConfig
from hf_peft_compare.core.method import Range
from hf_peft_compare.core.settings import described
from hf_peft_compare.orchestration.executors import DISTANT
from tools.docs.markdown import code, default, prose

SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
GIVEN = {StudyConfig: {"name": "default: the name of the file"}}  # what a file need not have though the study does
WITHOUT_LIMIT = 2**31  # a bound of this size only says that the number is stored in 32 bits
NAMES = {"str": "text", "bool": "true or false", "int": "whole number", "float": "number", "Any": "anything"}
NOUN = re.compile("^(text|whole number|number|mapping)")
# Parts of a study, by the key that holds them.
SECTIONS = {
    "training": TrainingConfig,
    "generation": GenerationConfig,
    "tracking": TrackingConfig,
    "labels_from": LabelsFrom,
    "tune": Tune,
    "tune.parameters.ROW.SETTING": Range,
    "references": References,
}


def study_keys() -> str:
    """Describe the keys of a study file."""
    shared = {f.name for f in fields(StudyProtocol)}
    own = [f.name for f in fields(StudyConfig) if f.name not in shared]
    parts = ["## What is compared", *keys_of(StudyConfig, only=own)]
    parts += ["## What all runs share", f"A row may set these for itself: {', '.join(map(code, ROW_PROTOCOL))}."]
    parts += keys_of(StudyConfig, only=[name for name in (f.name for f in fields(StudyConfig)) if name in shared])
    for key, kind in SECTIONS.items():
        parts += [f"## `{key}` {{ #{key}-keys }}", *keys_of(kind, prefix=f"{key}.")]
    return "\n\n".join(parts)


def executor_options(name: str) -> str:
    """Describe the options of an executor."""
    return "\n\n".join(keys_of(DISTANT[name].options, prefix=f"{name}."))


def keys_of(kind: Any, *, prefix: str = "", titled: str = "", only: Sequence[str] | None = None) -> Iterator[str]:
    """Describe the fields of a dataclass, each under a heading of its own.

    Args:
        prefix: what stands before a name in the address of its heading.
        titled: what stands before it in the heading itself.
        only: the names to describe; None: all.
    """
    hints = get_type_hints(kind, include_extras=True)
    for setting in described(kind):
        if only is None or setting.name in only:
            yield f"#### `{titled}{setting.name}` {{ #{prefix}{setting.name} }}"
            needed = GIVEN.get(kind, {}).get(setting.name, "required")
            yield f"{in_words(hints[setting.name])}; {needed if setting.required else default(setting.default)}"
            yield prose(in_yaml(setting.meaning))


def in_words(hint: Any) -> str:
    """Return a type in the words of someone who writes YAML."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return in_words(parts[0]) + _bounds(parts[1:])
    if origin is Literal:
        return " or ".join(code(json.dumps(part)) for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(in_words, parts)))
    if origin is list:
        return "list of " + NOUN.sub(r"\1s", in_words(parts[0]))
    if origin is dict:
        what = NOUN.sub(r"\1s", in_words(parts[1]))
        return "mapping" if what in ("anything", "mappings") else f"mapping of names to {what}"
    if hint is NoneType:
        return code("null")
    return "mapping" if is_dataclass(hint) else NAMES.get(hint.__name__, hint.__name__)


def in_yaml(meaning: str) -> str:
    """Return a meaning as a sentence, with null for None, as YAML and JSON have it."""
    return re.sub(r"\bNone\b", "`null`", meaning[:1].upper() + meaning[1:])


def _bounds(notes: Sequence[object]) -> str:
    found = [
        f"{sign} {limit:,}"
        for note in notes
        for part in (note.metadata if isinstance(note, FieldInfo) else ())
        for name, sign in SIGNS.items()
        if (limit := getattr(part, name, None)) is not None and limit < WITHOUT_LIMIT
    ]
    return f" {' and '.join(found)}" if found else ""
