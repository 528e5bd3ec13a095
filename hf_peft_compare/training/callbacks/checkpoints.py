"""Checkpoints that a resumed run can trust."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_peft_compare.records.run_folder import CHECKPOINT_MARKER
from hf_peft_compare.training.callbacks.best_state import BEST_FILE
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.files import flush_to_disk, write_text_atomically
from hf_peft_compare.utils.hashing import hash_files


class CheckpointMarker(TrainerCallback):
    """Mark each checkpoint with the hash of its files once they are on the disk, the best state so far among them."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Mark the checkpoint of this step."""
        process_state().wait_for_everyone()  # each process writes files of its own
        if state.is_world_process_zero:
            folder = Path(args.output_dir or ".")
            checkpoint = folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            _link(folder / BEST_FILE, checkpoint / BEST_FILE)
            flush_to_disk(checkpoint)
            write_text_atomically(checkpoint / CHECKPOINT_MARKER, _hash(checkpoint))


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a folder, or None."""
    return max(
        (marker.parent for marker in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{CHECKPOINT_MARKER}")),
        key=_step,
        default=None,
    )


def mend_checkpoints(folder: Path) -> list[str]:
    """Remove incomplete and damaged checkpoints, and restore the best state as of the newest that is left.

    Returns:
        A note on each one that was damaged after it had been complete, as by a power failure.
    """
    notes = []
    for checkpoint in sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=_step):
        marker = checkpoint / CHECKPOINT_MARKER
        if not marker.is_file() or marker.read_bytes() != _hash(checkpoint).encode():
            if marker.exists():
                notes.append(f"The checkpoint of step {_step(checkpoint)} was damaged and could not be resumed from.")
            shutil.rmtree(checkpoint)
    if newest := latest_checkpoint(folder):
        _link(newest / BEST_FILE, folder / BEST_FILE)
    return notes


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])


def _hash(checkpoint: Path) -> str:
    files = {str(path.relative_to(checkpoint)): path for path in checkpoint.rglob("*") if path.is_file()}
    return hash_files({name: path for name, path in files.items() if name != CHECKPOINT_MARKER})


def _link(source: Path, target: Path) -> None:
    """Link a second path to a file, which costs no space where the file system has hard links."""
    target.unlink(missing_ok=True)
    if not source.exists():  # stopped before the first evaluation
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
