"""Hashes of values and of files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path


def hash_json(value: object) -> str:
    """Hash a JSON value; the key order does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def stamp_files(files: Mapping[str, Path]) -> str:
    """Hash the names, sizes and times of files; while these are unchanged, contents are assumed unchanged."""
    return hash_json([[name, *_size_and_times(path)] for name, path in sorted(files.items())])


def hash_files(files: Mapping[str, Path]) -> str:
    """Hash the names and contents of files; a process reads each file once unless it changes."""
    return hash_json([[name, _hash_file(path, *_size_and_times(path))] for name, path in sorted(files.items())])


def _size_and_times(path: Path) -> tuple[int, int, int]:
    """Return the size of a file, its time, and the time of its last change, which no tool that copies can set back."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@lru_cache(maxsize=100_000)
def _hash_file(path: Path, size: int, time: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
