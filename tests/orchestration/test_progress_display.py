"""The live lines of runs."""

import io

from rich.console import Console

from hf_peft_compare.orchestration import progress_display
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.progress_display import ProgressDisplay


def test_a_run_that_ends_while_its_state_is_read_is_no_longer_shown(tiny_study, tmp_path, monkeypatch):
    (job,) = jobs_of(tiny_study(), output_dir=tmp_path, rows=["lora"])
    display = ProgressDisplay(Console(file=io.StringIO()))
    display._checking = display.progress.add_task("checking")
    display(job, "started")

    def read_while_it_ends(folder):
        display(job, "finished")
        return {"phase": "training", "loss": 1.0, "step": 1, "num_steps": 2}

    monkeypatch.setattr(progress_display, "read_progress", read_while_it_ends)
    display.look()
    assert "✓ lora-seed0" in display.console.file.getvalue()
    assert [task.description for task in display.progress.tasks] == ["checking"]
