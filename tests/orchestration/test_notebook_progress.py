"""The notebook's table of runs."""

from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.notebook_progress import NotebookProgress


def test_a_message_about_a_run_is_shown_in_its_cell(tiny_study, tmp_path):
    (job,) = jobs_of(tiny_study(), output_dir=tmp_path, rows=["lora"])
    progress = NotebookProgress([job])
    progress(job, "the data set changed since it ran; <training> again")
    assert "the data set changed since it ran; &lt;training&gt; again" in progress.render()
