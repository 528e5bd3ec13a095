"""W&B: an offline run is read back with wandb's own reader; no failure of W&B ends a run."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tracked_runs import inspect, make_config, make_record, read_history, track

from hf_peft_compare.core.tracker import PROJECT
from hf_peft_compare.trackers import wandb as wandb_tracker
from hf_peft_compare.trackers.wandb import has_account
from hf_peft_compare.training.callbacks import tracking as tracking_callback
from hf_peft_compare.training.callbacks.tracking import Tracking

pytestmark = pytest.mark.usefixtures("no_wandb_account")


def test_an_offline_run_holds_config_curves_results_and_predictions(tmp_path: Path) -> None:
    assert track(make_config(), tmp_path).notes == []

    run = json.loads(inspect(tmp_path, "--summary"))
    assert (run["project"], run["state"], run["exit_code"]) == (PROJECT, "finished", 0)
    assert run["config"]["training"]["learning_rate"] == 2e-4
    assert run["config"]["method"] == {"name": "lora", "r": 2}

    curves = [entry for entry in read_history(tmp_path) if "train/global_step" in entry]
    assert [e["train/loss"] for e in curves if "train/loss" in e] == [1.0, 0.5]
    assert [e["eval/loss"] for e in curves if "eval/loss" in e] == [3.0, 1.5]  # nats per token, not the Trainer's 9.0
    assert [e["train/global_step"] for e in curves] == [1, 1, 2, 2]
    assert not any("eval_runtime" in key for e in curves for key in e)

    wanted = {"test/rougeL_fmeasure": 0.25, "test/test_loss": 2.5, "parameters/trainable_ratio": 0.005}
    assert wanted.items() <= run["summary"].items()
    assert run["summary"]["status"] == "finished"
    table = json.loads(next(tmp_path.glob("wandb/*/files/media/table/*.json")).read_text())
    assert table["columns"] == ["id", "source", "reference", "prediction", "rougeL_fmeasure", "entity_recall"]
    assert table["data"][2] == ["2", "A long text 2.", "Short.", "Shorter.", 0.5, 1.0]


def test_a_run_has_its_name_group_and_job_type(tmp_path: Path) -> None:
    track(make_config(), tmp_path, interrupted=True)
    run = next(r["run"] for r in map(json.loads, inspect(tmp_path).splitlines()) if r["type"] == "run")
    assert (run["display_name"], run["run_group"], run["job_type"]) == ("lora-seed3", "tiny-study", "lora")
    assert json.loads(inspect(tmp_path, "--summary"))["exit_code"] == 1


def running(tracking: Tracking) -> Any:
    """The run that W&B has open."""
    return tracking._trackers._started[0]._run


def run_id(tracking: Tracking) -> str:
    tracking.start()
    identity = running(tracking).id
    tracking.close(failed=True)
    return identity


def test_only_an_interrupted_run_goes_on_under_its_id(tmp_path: Path) -> None:
    config = make_config()
    first = run_id(Tracking(config=config, folder=tmp_path))
    assert run_id(Tracking(config=config, folder=tmp_path)) == first
    assert run_id(Tracking(config=make_config(max_length=64), folder=tmp_path)) != first

    finished = Tracking(config=config, folder=tmp_path / "other")
    finished.start()
    identity = running(finished).id
    finished.finish(make_record(config), [])
    finished.close()
    assert run_id(Tracking(config=config, folder=tmp_path / "other")) != identity


def test_the_users_project_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    track(make_config(), tmp_path)
    assert json.loads(inspect(tmp_path, "--summary"))["project"] == "mine"


def test_the_standard_trainer_drives_it(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    tracking = Tracking(config=make_config(), folder=tmp_path)
    tracking.start()
    Trainer(
        model=GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=64, n_positions=8)),
        args=TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=[{"input_ids": [1, 2, 3, 4], "labels": [1, 2, 3, 4]}] * 16,
        callbacks=[tracking],
    ).train()
    tracking.close()
    first, second = [entry for entry in read_history(tmp_path) if "train/loss" in entry]
    assert (first["train/global_step"], second["train/global_step"]) == (1, 2)
    assert {"train/learning_rate", "train/grad_norm", "train/epoch"} <= set(first)


CHILD = """
import sys
from pathlib import Path
from tracked_runs import make_config, track

print("notes", track(make_config(), Path(sys.argv[1])).notes)
"""


def test_without_an_account_it_neither_asks_nor_chatters(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        # Even with mode online there is no account to log in with.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "WANDB_MODE": "online"},
    )
    assert process.returncode == 0, process.stdout
    assert "notes []" in process.stdout
    assert "wandb:" not in process.stdout
    assert [e["train/global_step"] for e in read_history(tmp_path) if "train/loss" in e] == [1, 2]


def test_disabled_imports_no_wandb_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would raise, and be noted
    assert track(make_config(), tmp_path).notes == []
    assert not (tmp_path / "wandb").exists()


def test_other_processes_open_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_callback, "process_state", lambda: SimpleNamespace(is_main_process=False))
    track(make_config(), tmp_path)
    assert list(tmp_path.glob("wandb")) == []


def test_an_account_that_cannot_be_reached_means_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    init, modes = wandb.init, []

    def unreachable(**arguments: Any) -> Any:
        modes.append(arguments["mode"])
        if arguments["mode"] != "offline":
            raise wandb.errors.CommError("no network")
        return init(**arguments)

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb, "init", unreachable)
    (note,) = track(make_config(), tmp_path, 1, interrupted=True).notes
    assert modes == [None, "offline"]  # None: as configured by the user
    assert "no network" in note and "offline" in note
    assert len(read_history(tmp_path)) == 2


def test_a_server_that_does_not_answer_is_waited_for_once_per_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    init, tried, held = wandb.init, [], set()

    def hang(**arguments: Any) -> Any:
        if arguments["mode"] != "offline":
            tried.append(arguments["id"])
            held.add(arguments["id"])  # by W&B's service, although it failed
            raise wandb.errors.CommError("no answer")
        if arguments["id"] in held:
            raise wandb.errors.CommError("this id is in use")
        return init(**arguments)

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb, "init", hang)
    monkeypatch.setattr(wandb_tracker, "SLOW_SECONDS", -1)
    folders = [tmp_path / "study" / name for name in ("first", "second")]
    for folder in folders:
        notes = track(make_config(), folder, 1, interrupted=True).notes
        assert notes == ["W&B could not start, so the run is logged offline (no answer)."]
        assert len(read_history(folder)) == 2
    assert len(tried) == 1
    unreachable = tmp_path / "study" / wandb_tracker.UNREACHABLE_FILE
    os.utime(unreachable, (0, 0))  # long ago
    run_id(Tracking(config=make_config(), folder=folders[0]))
    assert len(tried) == 2


def test_credentials_are_found_without_asking() -> None:
    assert not has_account()
    netrc = Path(os.environ["NETRC"])
    netrc.parent.mkdir(exist_ok=True)
    netrc.write_text(f"machine api.wandb.ai login user password {'0' * 40}\n")
    netrc.chmod(0o600)
    assert has_account()


def test_a_malformed_key_means_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "nonsense")
    assert len(track(make_config(), tmp_path).notes) == 1
    assert list(tmp_path.glob("wandb/offline-run-*"))


class BrokenRun:
    """A W&B run whose service dies once it has started."""

    def define_metric(self, *_: object, **about: object) -> None:
        """Take it."""

    def __getattr__(self, name: str) -> Any:
        raise BrokenPipeError("the service is gone")


def test_a_broken_wandb_is_noted_once_and_never_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    def fail(**_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(wandb, "init", fail)
    with caplog.at_level(logging.WARNING):
        (note,) = track(make_config(), tmp_path).notes
    assert "no space left" in note and caplog.messages == [note]

    monkeypatch.setattr(wandb, "init", lambda **_: BrokenRun())
    dying = track(make_config(), tmp_path)
    dying.close()  # again
    assert [note.split(",")[0] for note in dying.notes] == ["W&B failed while logging", "W&B failed while finishing"]
