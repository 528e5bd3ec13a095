"""The progress file has the current state of a run."""

import json
from types import SimpleNamespace

from hf_peft_compare.training.callbacks import ProgressFile


def read(folder):
    return json.loads((folder / "progress.json").read_text())


def test_it_has_phase_step_and_loss(tmp_path):
    progress = ProgressFile(tmp_path)
    progress.update("loading")
    assert read(tmp_path) == {"phase": "loading", "step": 0, "num_steps": 0, "loss": None}
    progress.on_log(None, None, None, logs={"loss": 1.5})
    progress.on_log(None, None, None, logs={"eval_loss": 9.0})
    progress.update("training", step=3, num_steps=9)
    assert read(tmp_path) == {"phase": "training", "step": 3, "num_steps": 9, "loss": 1.5}
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_steps_are_written_a_few_times_a_second_at_most(tmp_path):
    progress = ProgressFile(tmp_path)
    progress.update("training")
    progress.on_step_end(None, SimpleNamespace(global_step=1, max_steps=9), None)  # too soon: skipped
    assert read(tmp_path)["step"] == 0
    progress._written -= 1
    progress.on_step_end(None, SimpleNamespace(global_step=2, max_steps=9), None)
    assert read(tmp_path)["step"] == 2


def test_other_processes_write_nothing():
    progress = ProgressFile(None)
    progress.update("training")
    assert progress.folder is None
