"""Only complete checkpoints are read."""

from types import SimpleNamespace

from hf_peft_compare.training.callbacks import CheckpointMarker
from hf_peft_compare.training.callbacks.checkpoints import MARKER, latest_checkpoint


def test_the_newest_whole_checkpoint_is_found_by_number(tmp_path):
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert latest_checkpoint(tmp_path) is None
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}" / MARKER).touch()
    assert latest_checkpoint(tmp_path).name == "checkpoint-10"
    assert latest_checkpoint(tmp_path / "nowhere") is None


def test_saving_is_marked_by_the_first_process_alone(tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    arguments = SimpleNamespace(output_dir=str(tmp_path))
    CheckpointMarker().on_save(arguments, SimpleNamespace(global_step=5, is_world_process_zero=False), None)
    assert latest_checkpoint(tmp_path) is None
    CheckpointMarker().on_save(arguments, SimpleNamespace(global_step=5, is_world_process_zero=True), None)
    assert latest_checkpoint(tmp_path).name == "checkpoint-5"
