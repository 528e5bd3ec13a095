"""Only complete and undamaged checkpoints are read."""

import os
from types import SimpleNamespace

import pytest

from hf_peft_compare.records.run_folder import CHECKPOINT_MARKER
from hf_peft_compare.training.callbacks import CheckpointMarker
from hf_peft_compare.training.callbacks.best_state import BEST_FILE
from hf_peft_compare.training.callbacks.checkpoints import latest_checkpoint, mend_checkpoints

FILES = ("optimizer.pt", "trainer_state.json", "shards/0.distcp")


def save(folder, step, *, first=True):
    """Save a checkpoint as the Trainer and the first or another process do, with the step as the best state."""
    for name in FILES:
        path = folder / f"checkpoint-{step}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} of step {step}")
    (folder / BEST_FILE).unlink(missing_ok=True)  # replaced, as by an atomic write
    (folder / BEST_FILE).write_text(f"best at {step}")
    state = SimpleNamespace(global_step=step, is_world_process_zero=first)
    CheckpointMarker().on_save(SimpleNamespace(output_dir=str(folder)), state, None)


def test_the_newest_whole_checkpoint_is_found_by_number(tmp_path):
    for step in (9, 10, 100):
        save(tmp_path, step, first=step < 100)
    assert latest_checkpoint(tmp_path).name == "checkpoint-10"
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_saving_is_marked_by_the_first_process_alone(tmp_path):
    save(tmp_path, 5, first=False)
    assert latest_checkpoint(tmp_path) is None
    save(tmp_path, 5)
    assert latest_checkpoint(tmp_path).name == "checkpoint-5"


def test_a_checkpoint_is_marked_after_its_files_are_on_the_disk(tmp_path, monkeypatch):
    flushed, flush = [], os.fsync

    def watch(descriptor):
        flushed.append(os.fstat(descriptor).st_ino)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    save(tmp_path, 5)
    *files, marker = (
        (tmp_path / "checkpoint-5" / name).stat().st_ino for name in (*FILES, BEST_FILE, CHECKPOINT_MARKER)
    )
    assert set(files) <= set(flushed[:-1]) and flushed[-1] == marker


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", [*FILES, BEST_FILE, CHECKPOINT_MARKER])
@pytest.mark.parametrize("damage", DAMAGES)
def test_after_damage_to_any_file_the_checkpoint_before_is_the_newest(name, damage, tmp_path):
    save(tmp_path, 4)
    save(tmp_path, 8)
    assert mend_checkpoints(tmp_path) == []
    DAMAGES[damage](tmp_path / "checkpoint-8" / name)
    notes = mend_checkpoints(tmp_path)
    assert latest_checkpoint(tmp_path).name == "checkpoint-4"
    assert (tmp_path / BEST_FILE).read_text() == "best at 4"
    assert [note.split(" was ")[0] for note in notes] == (
        [] if (name, damage) == (CHECKPOINT_MARKER, "missing") else ["The checkpoint of step 8"]
    )
    assert not (tmp_path / "checkpoint-8").exists()


def test_with_every_checkpoint_damaged_there_is_none(tmp_path):
    save(tmp_path, 4)
    save(tmp_path, 8)
    for step in (4, 8):
        DAMAGES["empty"](tmp_path / f"checkpoint-{step}" / "optimizer.pt")
    assert len(mend_checkpoints(tmp_path)) == 2
    assert latest_checkpoint(tmp_path) is None
    assert mend_checkpoints(tmp_path / "nowhere") == []


def test_the_best_state_is_restored_as_of_the_checkpoint_without_hard_links_too(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    save(tmp_path, 4)
    (tmp_path / BEST_FILE).write_text("best at 6, of which no checkpoint is left")
    mend_checkpoints(tmp_path)
    assert (tmp_path / BEST_FILE).read_text() == "best at 4"
