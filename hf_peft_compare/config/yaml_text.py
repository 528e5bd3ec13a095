"""Read YAML as YAML 1.2 has it: 1e-3 is a number, and a key that stands twice is an error, not the last of the two."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; PyYAML itself would take the last value of a key that stands twice."""
        node = super().compose_mapping_node(anchor)
        known: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in known:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            known.add(str(key.value))
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def read_yaml_text(text: str) -> object:
    """Return the value of a YAML text.

    Raises:
        ValueError: the text is not valid YAML; the message is one line with the reason and its line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except Exception as error:  # besides its own errors, PyYAML raises whatever Python makes of a tagged value
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = " ".join(str(getattr(error, "problem", None) or error).split()) or type(error).__name__
        raise ValueError(reason if mark is None else f"line {mark.line + 1}: {reason}") from None
