"""Nested dictionaries: values as YAML has them, deep merging of layers, and conversion to and from dotted keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import count
from typing import Any, TypeAlias

from hf_peft_compare.core.errors import UserError

Tree: TypeAlias = dict[str, Any]  # nested settings, as YAML has them
MAX_DEPTH, MAX_VALUES, MAX_TEXT = 30, 50_000, 100_000  # far above any study's: levels, values, characters of a text
EXPECTED = "expected what a study file can hold: numbers, texts, lists, and mappings with texts as keys"


def plain(value: object, where: str) -> Any:
    """Return nested settings as YAML has them: tuples and sets as lists, members of an Enum as their values.

    Args:
        where: what the settings are, in an error.

    Raises:
        UserError: a key or value that YAML does not have, a number that is not finite or huge, a text that no file can
            hold, or too much of anything, as in a list that holds itself.
    """
    return _plain(value, where, 0, count())


def _plain(value: object, where: str, depth: int, number: count[int]) -> Any:
    if depth > MAX_DEPTH or next(number) > MAX_VALUES:
        raise UserError(f"{where} holds more than {MAX_VALUES:,} values or {MAX_DEPTH} levels, or holds itself.")
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        tree = {_text(key, f"key {key!r} of {where}"): inner for key, inner in value.items()}
        return {key: _plain(inner, f"{where}.{key}", depth + 1, number) for key, inner in tree.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (list, tuple)):
        return [_plain(inner, where, depth + 1, number) for inner in value]
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, (int, float)) and not -(2**63) < value < 2**63:
        raise UserError(f"{where} is not finite, or beyond ±2^63; expected another number.")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise UserError(f"{where} is {value!r} ({type(value).__name__}); {EXPECTED}. A date or the like needs quotes.")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{where} is {type(value).__name__}; {EXPECTED}. Write it in quotes.")
    if len(value) > MAX_TEXT or "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UserError(f"{where} has more than {MAX_TEXT:,} characters, or some that no file can hold; shorten it.")
    return value


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Tree:
    """Return the deep merge of two nested dictionaries; values of `upper` win."""
    merged = dict(lower)
    for key, value in upper.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def merge_layers(layers: Sequence[tuple[str, Mapping[str, object]]]) -> tuple[Tree, dict[str, str]]:
    """Merge layers, lowest first; the second return value is the layer that set each dotted key."""
    merged: Tree = {}
    origins: dict[str, str] = {}
    for name, layer in layers:
        merged = merge(merged, layer)
        origins.update((key, name) for key in flatten(layer))
    kept = set(flatten(merged))
    return merged, {key: origin for key, origin in origins.items() if key in kept}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Return every leaf by its dotted key; an empty dictionary counts as a leaf."""
    flat: Tree = {}
    for key, value in tree.items():
        nested_in = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{key}.") if nested_in else {f"{prefix}{key}": value}
    return flat


def nested(key: str, value: object) -> Tree:
    """Return a nested dictionary with one value, at a dotted key."""
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}
