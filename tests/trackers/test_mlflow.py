"""MLflow: a database in the study's folder is read back with its own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tracked_runs import make_config, needs, track

from hf_peft_compare.comparison import Comparison
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.core.tracker import PROJECT
from hf_peft_compare.report.tracked_verdict import log_verdict
from hf_peft_compare.trackers.mlflow import QUIET

pytestmark = [needs("mlflow"), pytest.mark.slow]  # to create a database takes seconds


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server is set, and what the tracker sets in the environment ends with the test."""
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", *QUIET):
        monkeypatch.delenv(variable, raising=False)
    with monkeypatch.context() as context:
        for variable, value in QUIET.items():
            context.setenv(variable, value)
        yield


def client_of(study: Path, database: str = "mlflow/mlflow.db") -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{study}/{database}")


def runs_of(study: Path) -> dict[str, Any]:
    """Return the runs of a study by name, its own among them."""
    client = client_of(study)
    return {
        run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name(PROJECT).experiment_id])
    }


def artifact(study: Path, run: Any, name: str) -> Any:
    path = client_of(study).download_artifacts(run.info.run_id, name, str(study))
    return json.loads(Path(path).read_text())


def test_the_studys_run_holds_its_runs_and_its_verdict(tmp_path: Path, comparison: Comparison) -> None:
    for seed in (3, 4):
        config = make_config("mlflow", seed=seed)
        assert track(config, tmp_path / config.run).notes == []
    log_verdict("tiny-study", comparison, tmp_path, ["mlflow"])
    runs = runs_of(tmp_path)
    assert set(runs) == {"tiny-study", "lora-seed3", "lora-seed4"}
    study, run = runs["tiny-study"], runs["lora-seed3"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ("lora-seed3", "lora-seed4")} == {study.info.run_id}

    curve = client_of(tmp_path).get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]
    validation = client_of(tmp_path).get_metric_history(run.info.run_id, "eval/loss")
    assert [(point.step, point.value) for point in validation] == [(1, 3.0), (2, 1.5)]
    wanted = {"test/rougeL_fmeasure": 0.25, "parameters/trainable_params": 5, "seconds/train": 1.5}
    assert wanted.items() <= run.data.metrics.items()
    assert {"training.learning_rate": "0.0002", "method.name": "lora", "seed": "3"}.items() <= run.data.params.items()
    assert run.data.tags["status"] == "finished"
    table = artifact(tmp_path, run, "predictions.json")
    assert table["columns"][:2] == ["id", "source"] and table["data"][2][:2] == ["2", "A long text 2."]

    assert study.data.tags["verdict/text"].splitlines() == describe_verdict(comparison)
    assert study.data.tags["verdict/best_row"] == "full"
    rows = artifact(tmp_path, study, "verdict/comparison.json")
    assert len(rows["data"]) == len(comparison.finished_rows)


def test_an_interrupted_run_goes_on_and_a_finished_one_does_not(tmp_path: Path) -> None:
    config = make_config("mlflow")
    folder = tmp_path / config.run
    track(config, folder, 1, interrupted=True)
    assert runs_of(tmp_path)[config.run].info.status == "FAILED"
    assert track(config, folder).notes == []
    client = client_of(tmp_path)
    experiment = client.get_experiment_by_name(PROJECT).experiment_id
    (run,) = [run for run in client.search_runs([experiment]) if run.info.run_name == config.run]
    assert run.info.status == "FINISHED" and run.data.metrics["train/loss"] == 0.5
    track(config, folder)
    assert len(client.search_runs([experiment])) == 3  # the study's, the first, and the next


def test_the_users_server_and_experiment_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.chdir(tmp_path)  # where it keeps artifacts
    assert track(make_config("mlflow"), tmp_path / "study" / "run").notes == []
    client = client_of(tmp_path, "mine.db")
    assert len(client.search_runs([client.get_experiment_by_name("mine").experiment_id])) == 2
    assert not (tmp_path / "study" / "mlflow" / "mlflow.db").exists()


def test_a_server_that_is_not_there_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nothing listens
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (note,) = track(make_config("mlflow"), tmp_path / "run").notes
    assert note.startswith("MLflow failed while starting, so its log is incomplete (MlflowException: ")
