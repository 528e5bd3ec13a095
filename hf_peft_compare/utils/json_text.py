"""Trees of dictionaries and lists as JSON that every program reads."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(tree: object) -> str:
    """Return a tree as JSON: a number that is not finite is null, and a leaf that JSON does not know is text."""
    return json.dumps(_finite(tree), ensure_ascii=False, indent=1, allow_nan=False, default=str)


def _finite(tree: object) -> Any:
    """Return a tree with non-finite numbers replaced by None, at any depth, and without lone surrogates."""
    if isinstance(tree, dict):
        return {_finite(key): _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else None
    return tree.encode("utf-8", "replace").decode() if isinstance(tree, str) else tree
