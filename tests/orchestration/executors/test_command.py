"""The command of a user's own: a run is finished when its record says so, and a command that does nothing is lost."""

import pytest

from hf_peft_compare.orchestration.executors import make_executor
from hf_peft_compare.orchestration.executors.command import CommandExecutor
from hf_peft_compare.orchestration.executors.executor import Launch
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.launcher import run_jobs
from hf_peft_compare.orchestration.place import place_of
from hf_peft_compare.records.record import read_record


@pytest.fixture(autouse=True)
def frequent_polls(monkeypatch):
    monkeypatch.setattr(CommandExecutor, "seconds_between_polls", 0.1)


@pytest.fixture
def jobs(tiny_study, tmp_path):
    return jobs_of(tiny_study(methods={"lead": {}, "zero_shot": {}}), output_dir=tmp_path / "some folder")


def run(jobs, template, **options):
    events = []
    place = place_of({"executor": "command", "executor_options": {"command": template}, **options})
    return run_jobs(jobs, place=place, on_event=lambda job, message: events.append((job.config.row, message))), events


@pytest.mark.slow
def test_each_run_is_one_command(jobs):
    outcomes, events = run(jobs, "OMP_NUM_THREADS=1 {command} && echo {name} > {folder}/by.txt", max_parallel=2)
    assert outcomes == {"lead-seed0": "finished", "zero_shot-seed0": "finished"}
    assert {message for _, message in events[2:4]} == {"started"}  # both at once, after "planned"
    assert (jobs[0].folder / "by.txt").read_text() == "tiny-lead-seed0\n"
    assert read_record(jobs[1].folder).provenance.num_threads == 1
    assert read_record(jobs[1].folder).plan is None  # it would be of this machine
    assert not (jobs[0].folder / "job.json").exists()


def test_a_command_that_leaves_no_record_is_lost(jobs):
    outcomes, _ = run(jobs[:1], "echo {job_file} >> {folder}/tried; exit 3")
    assert outcomes == {"lead-seed0": "failed"}
    assert len((jobs[0].folder / "tried").read_text().splitlines()) == 4
    assert "was ended with status 3, 4 times; see " in read_record(jobs[0].folder).error


def test_the_preview_is_what_is_run(jobs):
    shown = make_executor("command", {"command": "srun --gpus=1 {command}"}, Launch()).preview(jobs[:1])
    assert shown.startswith("srun --gpus=1 ") and shown.endswith("'") and "train-job" in shown


def test_several_processes_are_launched_with_accelerate(jobs):
    launch = Launch(num_processes=4)
    assert "accelerate.commands.launch --multi_gpu --num_processes 4" in make_executor("command", {}, launch).preview(
        jobs
    )
