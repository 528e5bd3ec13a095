"""A study in a remote folder: a run is there when its record is, and another machine goes on where one has stopped."""

import json
import os
import signal
import subprocess
import sys

import pytest
from remote_stores import elsewhere, store  # noqa: F401 - fixtures

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.records.remote_runs import fetch_results, fetch_run, shared, upload_folder
from hf_peft_compare.utils.remote_folder import RemoteFolder, local_folder, remote_of

RUN = {"identity.json": "{}", "log.txt": "said", "predictions.jsonl": "{}", "model/weights": "1 2 3"}


@pytest.fixture
def study(store):  # noqa: F811
    """`study()`: the scratch folder of a study on this machine."""
    return lambda: local_folder(store) / "tickets"


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def run_of(folder, name="lora-seed0", *, status="finished", **changed):
    """Write a run that has ended; return its folder."""
    run = folder / name
    write(run, {**RUN, "record.json": json.dumps({"status": status}), **changed})
    return run


def do(folder, name="lora-seed0", **changed):
    """Do a run of a study, and upload it."""
    with shared(folder) as upload:
        assert upload(run_of(folder, name, **changed)) == ""


def there(folder):
    return set(remote_of(folder).files())


def test_what_has_ended_is_there_with_its_record(study):
    with shared(study()) as upload:
        write(study(), {"study.yaml": "name: tickets"})
        assert upload(run_of(study())) == ""
        whole = {f"lora-seed0/{name}" for name in (*RUN, "record.json")}
        assert there(study()) == {"study.yaml", *whole}
        run_of(study(), "tuning/lora-trial00")
    assert "tuning/lora-trial00/record.json" in there(study())  # what was not uploaded before, at the end


def test_without_a_url_nothing_is_done(tmp_path):
    with shared(tmp_path) as upload:
        assert upload(run_of(tmp_path)) == ""
    fetch_results(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"lora-seed0"}


def test_another_machine_skips_what_is_finished(study, elsewhere):  # noqa: F811
    do(study())
    do(study(), "tuning/lora-trial00")
    elsewhere("there")
    with shared(study()):
        here = {path.relative_to(study()).as_posix() for path in study().rglob("*.json*")}
    results = {"record.json", "identity.json", "predictions.jsonl"}
    runs = ("lora-seed0", "tuning/lora-trial00")
    assert here == {".remote.json", *(f"{run}/{name}" for run in runs for name in results)}


def test_reports_fetch_records_and_predictions_alone(study, elsewhere):  # noqa: F811
    do(study())
    do(study(), "tuning/lora-trial00")
    elsewhere("there")
    fetch_results(study())
    assert {path.name for path in (study() / "lora-seed0").iterdir()} == {
        "record.json",
        "identity.json",
        "predictions.jsonl",
    }
    assert not (study() / "tuning").exists()


def test_a_finished_run_is_fetched_whole(study, elsewhere):  # noqa: F811
    do(study())
    elsewhere("there")
    fetch_run(study() / "lora-seed0")
    assert (study() / "lora-seed0/model/weights").read_text() == "1 2 3"
    fetch_run(study() / "no-such-run")
    assert not (study() / "no-such-run").exists()


def checkpoint(folder, step):
    files = {"complete": "hash", "optimizer.pt": f"state {step}"}
    write(folder / "lora-seed0", {"identity.json": "{}"})
    write(folder / f"lora-seed0/checkpoints/checkpoint-{step}", files)


def test_an_interrupted_run_goes_on_elsewhere_from_its_newest_checkpoint(study, elsewhere):  # noqa: F811
    with pytest.raises(KeyboardInterrupt), shared(study()):
        checkpoint(study(), 9)
        checkpoint(study(), 10)
        raise KeyboardInterrupt
    assert there(study()) == {
        "lora-seed0/identity.json",
        *(f"lora-seed0/checkpoints/checkpoint-10/{name}" for name in ("complete", "optimizer.pt")),
    }
    elsewhere("there")
    with shared(study()) as upload:
        assert (study() / "lora-seed0/checkpoints/checkpoint-10/optimizer.pt").read_text() == "state 10"
        checkpoint(study(), 20)
        assert upload(run_of(study())) == ""
    assert not any("checkpoints" in name for name in there(study()))


def test_an_older_checkpoint_is_removed_once_the_next_is_there(study):
    for step in (10, 20):
        with shared(study()):
            checkpoint(study(), step)
    assert {name.split("/")[2] for name in there(study()) if "checkpoints" in name} == {"checkpoint-20"}


def test_what_another_machine_has_begun_with_other_settings_replaces_what_is_here(study, elsewhere):  # noqa: F811
    with shared(study()):
        checkpoint(study(), 50)
    elsewhere("there")
    with shared(study()):
        write(study() / "lora-seed0", {"identity.json": '{"other": 1}'})
        (study() / "lora-seed0/checkpoints/checkpoint-50").rename(study() / "lora-seed0/checkpoints/checkpoint-60")
    elsewhere("here")
    with shared(study()):
        assert [path.name for path in (study() / "lora-seed0/checkpoints").iterdir()] == ["checkpoint-60"]


def test_a_finished_run_that_is_done_again_is_kept(study):
    do(study())
    do(study(), **{"model/weights": "4 5 6 7"})
    remote = remote_of(study())
    assert remote.read("lora-seed0/model/weights") == b"4 5 6 7" and remote.read("lora-seed0/log.txt") == b"said"
    assert remote.read("superseded/lora-seed0-1/model/weights") == b"1 2 3"
    do(study(), **{"model/weights": "8"})
    assert remote.read("superseded/lora-seed0-2/model/weights") == b"4 5 6 7"


def test_a_failed_run_is_replaced(study):
    do(study(), status="failed")
    do(study(), **{"model/weights": "4 5 6 7"})
    assert not any("superseded" in name for name in there(study()))


def test_a_run_that_cannot_be_uploaded_is_uploaded_at_the_end(study, monkeypatch):
    with shared(study()) as upload:
        with monkeypatch.context() as patch:
            patch.setattr(RemoteFolder, "upload", _refuse)
            assert upload(run_of(study())) == "not uploaded yet: OSError: the network is away"
        assert there(study()) == set()
    assert "lora-seed0/record.json" in there(study())


def test_what_could_not_be_uploaded_at_all_ends_in_one_error(study, monkeypatch):
    with pytest.raises(RunFailed, match="not everything was uploaded to .*the network is away.*same command"):
        with shared(study()):
            run_of(study())
            monkeypatch.setattr(RemoteFolder, "upload", _refuse)
    monkeypatch.undo()


def _refuse(*args):
    raise OSError("the network is away")


def test_two_machines_do_not_run_one_study(study):
    with shared(study()):
        with pytest.raises(UserError, match="another process is running this study in .*tickets: process"):
            with shared(study()):
                pass


def test_who_lost_the_folder_uploads_no_run(study):
    with pytest.raises(RunFailed, match="another process has taken"), shared(study()) as upload:
        remote_of(study()).write(".owner", b"another")
        assert "another process has taken" in upload(run_of(study()))
    assert there(study()) == set()


def test_a_report_is_uploaded(study):
    write(study() / "report", {"index.html": "page", "figures/a.svg": "drawn"})
    upload_folder(study() / "report")
    assert there(study()) == {"report/index.html", "report/figures/a.svg"}


KILLED = """
import os, signal, sys
from pathlib import Path
import fsspec.implementations.local
from hf_peft_compare.records.remote_runs import shared
from hf_peft_compare.utils.remote_folder import local_folder
study = local_folder(sys.argv[1]) / "tickets"
opened = fsspec.implementations.local.LocalFileSystem.open
def dying(self, path, *args, **options):
    if str(path).endswith("predictions.jsonl"):
        os.kill(os.getpid(), signal.SIGKILL)
    return opened(self, path, *args, **options)
fsspec.implementations.local.LocalFileSystem.open = dying
with shared(study) as upload:
    upload(study / "lora-seed0")
"""


@pytest.mark.parametrize("store", ["file"], indirect=True)
def test_killed_in_the_middle_of_an_upload_a_run_has_no_record_there(study, store):  # noqa: F811
    run_of(study())
    killed = subprocess.run([sys.executable, "-c", KILLED, store], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert "lora-seed0/model/weights" in there(study()) and "lora-seed0/record.json" not in there(study())
    with shared(study()):  # the dead process owns nothing
        pass
    assert "lora-seed0/record.json" in there(study())
