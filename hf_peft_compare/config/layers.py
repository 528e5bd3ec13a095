"""Nested dictionaries: deep merging of layers, and conversion to and from dotted keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Tree: TypeAlias = dict[str, Any]  # nested settings, as YAML has them


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
