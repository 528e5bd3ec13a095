"""How runs are divided over processes, and what happens to a run's folder."""

from dataclasses import replace

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration import jobs
from hf_peft_compare.orchestration.jobs import jobs_of, unfinished
from hf_peft_compare.records.record import record_of, write_record
from hf_peft_compare.records.run_folder import SUPERSEDED_FOLDER


@pytest.fixture
def job(tiny_study, tmp_path):
    """`job("key=value", …)`: the LoRA run of the tiny study."""
    return lambda *overrides: jobs_of(tiny_study(*overrides), output_dir=tmp_path, rows=["lora"])[0]


def leave_record(job, **keys):
    write_record(replace(record_of(job.config, {}, error=None), **keys), job.folder)


def test_a_run_is_finished_only_with_a_finished_record_of_its_very_config(job):
    assert job().state == "open"
    job().prepare()
    assert job().state == "open"
    assert job("methods.lora.r=2").state == "changed"
    leave_record(job(), status="failed", error="x")
    assert job().state == "open"
    leave_record(job())
    assert job().state == "finished"
    assert job("methods.lora.r=2").state == "changed"


def test_a_run_of_another_config_is_moved_away_and_kept(job):
    for r in (4, 2, 3):
        job(f"methods.lora.r={r}").prepare()
        leave_record(job(f"methods.lora.r={r}"))
    kept = job().folder.parent / SUPERSEDED_FOLDER
    assert sorted(path.name for path in kept.iterdir()) == ["lora-seed0-1", "lora-seed0-2"]
    assert job("methods.lora.r=3").state == "finished"


@pytest.mark.parametrize("name", ["record.json", "identity.json"])
@pytest.mark.parametrize("content", [b"", b'{"schema_version": 3, "row": "\xc3', b"[" * 100_000])
def test_a_damaged_run_is_moved_away_whole_and_trained_again(name, content, job):
    job().prepare()
    leave_record(job())
    (job().folder / name).write_bytes(content)
    assert job().state == "changed"
    moved = job().prepare()
    assert name in moved and "the old run is kept in superseded/lora-seed0-1" in moved and "delete" not in moved
    assert (job().folder.parent / SUPERSEDED_FOLDER / "lora-seed0-1" / name).read_bytes() == content
    assert job().state == "open"


def test_a_record_of_a_newer_version_is_left_where_it_is(job):
    job().prepare()
    leave_record(job(), schema_version=99)
    with pytest.raises(UserError, match="Install a newer release"):
        job().prepare()
    assert (job().folder / "record.json").is_file()


def test_checkpoints_of_a_run_killed_after_its_record_are_removed(job):
    checkpoint = job().folder / "checkpoints" / "checkpoint-3"
    for finished in (False, True):
        checkpoint.mkdir(parents=True, exist_ok=True)
        if finished:
            leave_record(job())
        assert bool(unfinished([job()])) != finished
        assert checkpoint.exists() != finished


def test_a_folder_that_cannot_be_read_is_open_and_preparing_it_says_why(job, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied", str(job().folder))

    monkeypatch.setattr(jobs, "changes_since", refuse)
    assert job().state == "open"
    with pytest.raises(PermissionError):
        job().prepare()
