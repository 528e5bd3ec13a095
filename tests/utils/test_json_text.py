"""JSON that every program reads, whatever was measured."""

from __future__ import annotations

import json
from pathlib import Path

from hf_peft_compare.utils.json_text import json_text


def test_a_tree_is_valid_json_whatever_is_in_it() -> None:
    tree = {"a": (1.5, float("nan"), [float("-inf")]), "path": Path("runs/x"), "cut": "\ud83d", "ü": None}
    text = json_text(tree)
    assert json.loads(text) == {"a": [1.5, None, [None]], "path": str(Path("runs/x")), "cut": "?", "ü": None}
    assert "NaN" not in text and "ü" in text
