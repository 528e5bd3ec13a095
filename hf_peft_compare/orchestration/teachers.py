"""Let finished runs label the train texts of a study before anything is trained on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.label_file import PREDICTION, SOURCES, key_of
from hf_peft_compare.data.splits import load_splits
from hf_peft_compare.data.teacher_labels import EXTRA, keeps_label
from hf_peft_compare.utils.files import write_text_atomically

if TYPE_CHECKING:
    from hf_peft_compare.inference.prediction import Text

BATCH_SIZE = 32


def label_train_texts(configs: Sequence[RunConfig]) -> None:
    """Write the labels that the runs of a study take from other runs, of the texts that have none yet.

    Raises:
        UserError: a teacher is not a finished run, or has another task.
    """
    wanted: dict[Path, dict[tuple[str, ...], Text]] = {}
    teachers: dict[Path, Path] = {}
    for config in {c.train_choice: c for c in configs if c.labels_from and c.labels_from.run}.values():
        assert config.labels_from is not None
        folder = Path(str(config.labels_from.run))
        _check_teacher(folder, config)
        teachers[config.labels_from.path] = folder
        wanted.setdefault(config.labels_from.path, {}).update(_texts(config))
    for path, texts in wanted.items():
        _add_labels(teachers[path], path, texts)


def _texts(config: RunConfig) -> dict[tuple[str, ...], Text]:
    """Return the texts of a run that its teacher labels, by their keys in a file of labels."""
    splits, _ = load_splits(config)
    assert config.labels_from is not None
    columns = config.task_type.text_columns(config.task_settings)

    def read(*names: str) -> list[tuple[str, ...]]:
        parts = [splits[name] for name in names if name in splits]
        return [row for part in parts for row in zip(*(part[column][:] for column in columns), strict=True)]

    kept = keeps_label(config, config.labels_from, splits)
    rows = [row for row, keeps in zip(read("train", EXTRA), kept, strict=True) if not keeps]
    rows += read("validation") if config.labels_from.validation == "teacher" else []
    return {key_of(row): row[0] if len(row) == 1 else (row[0], row[1]) for row in rows}


def _check_teacher(folder: Path, config: RunConfig) -> None:
    """Raise UserError unless a run labels texts like those of a study with the study's classes."""
    from hf_peft_compare.inference.loading import read_finished

    run = read_finished(folder)
    theirs, ours = (c.task_type.labels(c.task_settings) for c in (run.config, config))
    if set(theirs or ()) != set(ours or ()):
        told, wanted = (", ".join(labels or ()) or "none" for labels in (theirs, ours))
        raise UserError(
            f"labels_from.run is {folder}, whose labels are {told}; those of study {config.study} are {wanted}. "
            f"Expected a run with the same labels."
        )


def _add_labels(folder: Path, path: Path, texts: Mapping[tuple[str, ...], Text]) -> None:
    """Let a run label the texts that are not in its file of labels yet, and write all of them."""
    from hf_peft_compare.inference.prediction import predict_texts

    known = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    labeled = {tuple(row[name] for name in SOURCES if name in row) for row in map(json.loads, known)}
    missing = [key for key in texts if key not in labeled]
    if not missing:
        return
    rows = predict_texts([folder], [texts[key] for key in missing], batch_size=BATCH_SIZE)
    added = (
        json.dumps(dict(zip(SOURCES, key, strict=False)) | {PREDICTION: row[PREDICTION]}, ensure_ascii=False)
        for key, row in zip(missing, rows, strict=True)
    )
    write_text_atomically(path, "".join(f"{line}\n" for line in (*known, *added)))
