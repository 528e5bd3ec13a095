"""Saved objects, named by the hash of its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.files import atomic_path

INPUTS_FOLDER = "inputs"  # in a study's folder, beside its runs


def saved(folder: Path, kind: str, content_hash: str, save: Callable[[Path], object], *, suffix: str = "") -> Path:
    """Return where an object is, which is saved unless it was before; it appears once it is whole.

    Args:
        folder: of the study.
        kind: what it is, e.g. "dataset".
        save: writes the object as a folder or a file.

    Raises:
        UserError: the object cannot be saved.
    """
    target = folder / INPUTS_FOLDER / f"{kind}-{content_hash[:16]}{suffix}"
    if target.exists():
        return target
    try:
        with atomic_path(target) as temporary:
            save(temporary)
    except Exception as error:  # whatever the object's own code raises, or the disk
        raise UserError(
            f"the {kind} cannot be saved as {target}: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from None
    return target
