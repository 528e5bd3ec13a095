"""Small pictures of examples that are questions about images, embedded in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

from hf_peft_compare.config.protocol import local_path
from hf_peft_compare.records.record import RunRecord

TASK = "visual_question_answering"
WIDEST = 320  # pixels of the longer side: about 20 kB as JPEG


def has_pictures(record: RunRecord | None) -> bool:
    """Return whether a run's examples are questions about images, whose paths are their second texts."""
    return record is not None and record.config.get("task", {}).get("name") == TASK


def embed_picture(record: RunRecord | None, line: Mapping[str, object]) -> str:
    """Return an example's picture as a data: address; empty if it has none, or its file is not here.

    Only files of the study's own dataset folder are read: predictions may come from anywhere.
    """
    from PIL import Image, UnidentifiedImageError

    path = line.get("source_pair")
    if record is None or not has_pictures(record) or not isinstance(path, str):
        return ""
    folder = local_path(str(record.config.get("dataset"))).resolve()
    try:
        found = Path(path).resolve(strict=True)
        if folder not in found.parents:
            return ""
        with Image.open(found) as image:
            small = image.convert("RGB")
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return ""
    small.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
