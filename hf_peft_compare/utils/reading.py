"""Read files that may be damaged or not be files at all; every error names the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hf_peft_compare.core.errors import UserError


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read its bytes; what goes wrong within the block is an error of the file.

    Raises:
        UserError: the file is missing, is a folder or a device, cannot be read, or its content is not as expected.
    """
    try:
        if path.exists() and not path.is_file():  # reading a device or a pipe may never end
            raise UserError(f"{path} is not a file")
        with path.open("rb") as file:
            yield file
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {_reason(error)}") from None


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8; see `opened` for its errors."""
    with opened(path) as file:
        return file.read().decode("utf-8")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; see `opened` for its errors."""
    with opened(path) as file:
        return parse_json(file.read())


def parse_json(content: bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Return the value of a JSON text.

    Args:
        pairs: makes the value of an object of its keys and values; None: a dictionary.

    Raises:
        ValueError: it is not JSON, or has an integer of more than 64 bits, with which floats cannot be computed.
        RecursionError: it is nested too deeply.
    """
    return json.loads(content, parse_int=_integer, object_pairs_hook=pairs)


def share(texts: dict[str, str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary of pairs; of its keys and values that are texts, those in `texts` are taken or put there."""
    keep = texts.setdefault
    return {keep(key, key): keep(value, value) if isinstance(value, str) else value for key, value in pairs}


def _integer(digits: str) -> int:
    value = int(digits)
    if abs(value) >= 2**63:
        raise ValueError(f"{digits[:20]}… has more than 64 bits")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (isinstance(error, OSError) and error.strerror) or str(error)
