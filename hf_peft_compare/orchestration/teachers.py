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
from hf_peft_compare.data.teacher_labels import check_has_labels, texts_to_label
from hf_peft_compare.utils.files import write_text_atomically

if TYPE_CHECKING:
    from hf_peft_compare.inference.prediction import Text

BATCH_SIZE = 32


def label_train_texts(configs: Sequence[RunConfig]) -> None:
    """Write the labels that the runs of a study take from other runs, of the texts that have none yet.

    Raises:
        UserError: a teacher is not a finished run, or has another task; or the texts cannot be trained on.
    """
    wanted: dict[Path, dict[tuple[str, ...], Text]] = {}
    for config in {c.train_choice: c for c in configs}.values():
        if (teacher := config.labels_from) is None or teacher.run is None:
            continue
        check_has_labels(config)
        _check_teacher(Path(teacher.run), config)
        texts = wanted.setdefault(teacher.path, {})
        for row in texts_to_label(config, teacher, *load_splits(config)):
            texts[key_of(row)] = row[0] if len(row) == 1 else (row[0], row[1])
    for path, texts in wanted.items():
        _add_labels(path, texts)


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


def _add_labels(path: Path, texts: Mapping[tuple[str, ...], Text]) -> None:
    """Let a run label the texts that are not in the file of labels in its folder yet, and write all of them."""
    from hf_peft_compare.inference.prediction import predict_texts

    known = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    labeled = {tuple(row[name] for name in SOURCES if name in row) for row in map(json.loads, known)}
    missing = [key for key in texts if key not in labeled]
    if not missing:
        return
    rows = predict_texts([path.parent], [texts[key] for key in missing], batch_size=BATCH_SIZE)
    added = (
        json.dumps(dict(zip(SOURCES, key, strict=False)) | {PREDICTION: row[PREDICTION]}, ensure_ascii=False)
        for key, row in zip(missing, rows, strict=True)
    )
    write_text_atomically(path, "".join(f"{line}\n" for line in (*known, *added)))
