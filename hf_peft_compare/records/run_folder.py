"""A run's folder: its file names, its place in the study's folder, and its predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.files import write_text_atomically

RECORD_FILE = "record.json"
PREDICTIONS_FILE = "predictions.jsonl"
MODEL_FOLDER = "model"
TUNING_FOLDER = "tuning"  # in the study's folder, next to its runs
TRUNK_CACHE_FOLDER = "cache/trunk"  # in the study's folder, next to its runs
CHECKPOINTS_FOLDER = "checkpoints"
LOG_FILE = "log.txt"
PROGRESS_FILE = "progress.json"
IDENTITY_FILE = "identity.json"
CONFIG_HASH_FILE = "config_hash"  # used instead by the first versions
STUDY_FILE = "study.yaml"  # in the study's folder, next to its runs


def run_name(*, row: str, seed: int, trial: int | None = None) -> str:
    """Return the folder name of a run or of a tuning trial."""
    return f"{row}-seed{seed}" if trial is None else f"{row}-trial{trial:02d}"


def folder_of_study(folder: Path, *, trial: int | None) -> Path:
    """Return the study's folder that contains a run's folder; trials are one level deeper."""
    return folder.parent if trial is None else folder.parents[1]


def write_predictions(rows: Iterable[Mapping[str, object]], folder: Path) -> None:
    """Write one JSON line per test example (id, prediction, reference, scores), atomically."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text_atomically(folder / PREDICTIONS_FILE, text)


def read_predictions(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a run's predictions, one dictionary per test example; nothing if the file is missing."""
    path = folder / PREDICTIONS_FILE
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path}, line {number}, is truncated ({error}). Delete {folder} and run the study again."
                ) from None
