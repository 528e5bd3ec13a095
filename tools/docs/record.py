"""The form of a run's record, from the dataclasses that read and write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from hf_peft_compare.cli.show import summary_of
from hf_peft_compare.core.settings import described
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import RECORD_FILE
from hf_peft_compare.records.upgrading import SCHEMA_VERSION
from hf_peft_compare.utils.markdown import table
from tools.docs.markdown import code, prose
from tools.docs.settings import in_words, in_yaml


def record_schema() -> str:
    """Describe the record and each of its parts."""
    parts = [f"Schema version {SCHEMA_VERSION}."]
    for key, kind in {RECORD_FILE: RunRecord, **parts_of(RunRecord)}.items():
        hints = get_type_hints(kind, include_extras=True)
        rows = [(code(f.name), in_words(hints[f.name]), prose(in_yaml(f.meaning))) for f in described(kind)]
        parts += [f"## `{key}`", prose(summary_of(kind)), table(("key", "type", "meaning"), rows)]
    return "\n\n".join(parts)


def parts_of(kind: type, prefix: str = "") -> dict[str, type]:
    """Return the dataclasses within a dataclass by the dotted key that holds each, in their order."""
    found: dict[str, type] = {}
    for name, hint in get_type_hints(kind).items():
        for part in _dataclasses(hint):
            found[f"{prefix}{name}"] = part
            found |= parts_of(part, f"{prefix}{name}.")
    return found


def _dataclasses(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for part in get_args(hint):
        yield from _dataclasses(part)
