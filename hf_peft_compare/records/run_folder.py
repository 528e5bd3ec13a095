"""A run's folder: its file names, its place in the study's folder, and its predictions."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import StrictFloat, StrictInt
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.utils.files import atomic_path
from hf_peft_compare.utils.reading import opened, parse_json, share

RECORD_FILE = "record.json"
PREDICTIONS_FILE = "predictions.jsonl"
MODEL_FOLDER = "model"
TUNING_FOLDER = "tuning"  # in the study's folder, next to its runs
TRUNK_CACHE_FOLDER = "cache/trunk"  # in the study's folder, next to its runs
CHECKPOINTS_FOLDER = "checkpoints"
CHECKPOINT_MARKER = "complete"  # in a checkpoint's folder, written last
SUPERSEDED_FOLDER = "superseded"  # in the study's folder: old runs with other settings, data or code
LOG_FILE = "log.txt"
PROGRESS_FILE = "progress.json"
IDENTITY_FILE = "identity.json"
CONFIG_HASH_FILE = "config_hash"  # used instead by the first versions
OWNER_FILE = ".owner"  # in the folder of a study, a run or a cache while a process writes to it
STUDY_FILE = "study.yaml"  # in the study's folder, next to its runs


class DamagedRun(UserError):
    """A file of a run cannot be read.

    Args:
        reason: what is wrong, with the file's path.
        folder: the run's folder.
    """

    def __init__(self, reason: object, folder: Path) -> None:
        super().__init__(f"{reason}. Restore it, or delete {folder} and run the study again.")
        self.reason = str(reason)


def run_name(*, row: str, seed: int, trial: int | None = None) -> str:
    """Return the folder name of a run or of a tuning trial."""
    return f"{row}-seed{seed}" if trial is None else f"{row}-trial{trial:02d}"


def folder_of_study(folder: Path, *, trial: int | None) -> Path:
    """Return the study's folder that contains a run's folder; trials are one level deeper."""
    return folder.parent if trial is None else folder.parents[1]


def supersede(folder: Path) -> Path:
    """Move a run with another config out of the way and keep it; return its new folder."""
    for number in range(1, sys.maxsize):
        target = folder.parent / SUPERSEDED_FOLDER / f"{folder.name}-{number}"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            return folder.rename(target)
    raise AssertionError


def write_predictions(rows: Iterable[Mapping[str, object]], folder: Path) -> None:
    """Write one JSON line per test example (id, prediction, reference, scores), atomically."""
    with atomic_path(folder / PREDICTIONS_FILE) as path:
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What readers rely on in a line of the predictions; the rest is shown as text, whatever it is."""

    id: str | int | float
    scores: dict[str, StrictFloat] = field(default_factory=dict)
    nll: StrictFloat | None = None
    num_tokens: StrictInt | None = None


def read_predictions(folder: Path, texts: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield a run's predictions, one dictionary per test example; nothing if the file is missing.

    Args:
        texts: those already read, which are not kept twice: lines share their keys, and runs their examples.

    Raises:
        DamagedRun: the file cannot be read, or a line is no prediction.
    """
    path, number = folder / PREDICTIONS_FILE, 0
    pairs = partial(share, {} if texts is None else texts)
    if not os.path.lexists(path):
        return
    try:
        with opened(path) as file:
            for line in file:
                number += 1
                found = parse_json(line, pairs)
                parse(_Line, found, where=str(path), if_missing="")
                yield found
    except UserError as error:
        raise DamagedRun(f"{error}, in line {number}" if number else error, folder) from None
