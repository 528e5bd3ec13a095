"""Checkpoints that a resumed run can trust."""

from __future__ import annotations

from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

MARKER = "complete"


class CheckpointMarker(TrainerCallback):
    """Mark each checkpoint once it is complete; one left by a killed process has no mark and is never read."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Mark the checkpoint of this step."""
        if state.is_world_process_zero:
            (Path(args.output_dir or ".") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}" / MARKER).touch()


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a folder, or None."""
    whole = [marker.parent for marker in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{MARKER}")]
    return max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]), default=None)
