"""MLflow: the server that the user has set, or a database in the study's folder."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from hf_peft_compare.config.layers import flatten
from hf_peft_compare.core.errors import shorten
from hf_peft_compare.core.tracker import PROJECT, TrackedRun, TrackedTable, Tracker
from hf_peft_compare.utils.files import write_text_atomically
from hf_peft_compare.utils.ownership import owned

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

PARENT_FILE = "parent"  # in the tracker's folder of the study: the id of the study's own run
AT_ONCE = 100  # parameters in one call
LONGEST = 5_000  # characters of a parameter or a tag
NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")
# Of MLflow's own variables, unless the user has set them. An import of MLflow reports its use to its makers, and a
# server that does not answer would hold up each run for minutes.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


class MlflowTracker(Tracker):
    """Log a run to MLflow, nested in the run of its study, whose own run has the verdict.

    MLFLOW_TRACKING_URI names the server; without it, runs are in `mlflow/mlflow.db` in the study's folder, for `mlflow
    ui --backend-store-uri sqlite:///runs/STUDY/mlflow/mlflow.db`. The experiment is that of MLFLOW_EXPERIMENT_NAME, or
    "hf-peft-compare". Settings are parameters, figures metrics at the last step, sentences tags, tables artifacts.
    """

    name = "mlflow"
    title = "MLflow"
    package = "mlflow"
    install = "'hf_peft_compare[mlflow]'"

    def __init__(self) -> None:
        self._client: MlflowClient | None = None
        self._id = ""
        self._step = 0

    def start(self, run: TrackedRun) -> None:
        """Open the run, and that of its study if this is the first; an interrupted run goes on."""
        folder = run.study_folder / self.name
        folder.mkdir(parents=True, exist_ok=True)
        with owned(folder / ".owner", wait=True):  # runs may start at the same time
            self._client = _connect(folder)
            experiment = _experiment(self._client, folder)
            parent = _parent(self._client, experiment, run.study, folder)
        if run.is_verdict:
            self._id = parent
        elif (interrupted := run.interrupted_id(self.name)) is not None and _exists(self._client, interrupted):
            self._id = interrupted
        else:
            tags = {"mlflow.parentRunId": parent, "method": run.kind}
            self._id = self._client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
            self._log_parameters(run.config)
            run.keep_id(self.name, self._id)
        self._client.update_run(self._id, status="RUNNING")

    def _log_parameters(self, config: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        assert self._client is not None
        flat = flatten(config)
        params = [Param(NOT_IN_NAMES.sub("_", key), shorten(str(value), LONGEST)) for key, value in flat.items()]
        for start in range(0, len(params), AT_ONCE):
            self._client.log_batch(self._id, params=params[start : start + AT_ONCE])

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics at a step."""
        assert self._client is not None
        self._step = step
        self._client.log_batch(self._id, metrics=_metrics(values, step))

    def finish(self, figures: Mapping[str, str | float], tables: Mapping[str, TrackedTable]) -> None:
        """Log figures and tables."""
        assert self._client is not None
        numbers = {name: value for name, value in figures.items() if not isinstance(value, str)}
        self._client.log_batch(self._id, metrics=_metrics(numbers, self._step))
        texts = {name: value for name, value in figures.items() if isinstance(value, str)}
        if "verdict/text" in texts:
            texts["mlflow.note.content"] = texts["verdict/text"]  # what MLflow shows as a description
        for name, text in texts.items():
            self._client.set_tag(self._id, name, shorten(text, LONGEST))
        for name, table in tables.items():
            content = {"columns": list(table.columns), "data": [list(row) for row in table.rows]}
            self._client.log_dict(self._id, content, f"{name}.json")
        if tables:
            shown = json.dumps([{"path": f"{name}.json", "type": "table"} for name in tables])
            self._client.set_tag(self._id, "mlflow.loggedArtifacts", shown)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        if self._client is not None and self._id:
            self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")


def _connect(folder: Path) -> MlflowClient:
    """Return the client of the user's server, or of the database in a folder."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each table that it creates
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return mlflow.MlflowClient(None if mlflow.is_tracking_uri_set() else f"sqlite:///{folder.resolve()}/mlflow.db")


def _experiment(client: MlflowClient, folder: Path) -> str:
    """Return the id of the experiment, which is created the first time."""
    import mlflow

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    place = None if mlflow.is_tracking_uri_set() else (folder / "artifacts").resolve().as_uri()
    return str(client.create_experiment(name, artifact_location=place))


def _parent(client: MlflowClient, experiment: str, study: str, folder: Path) -> str:
    """Return the id of the study's own run, which is created the first time."""
    path = folder / PARENT_FILE
    if path.is_file() and _exists(client, known := path.read_text()):
        return known
    made = str(client.create_run(experiment, run_name=study).info.run_id)
    write_text_atomically(path, made)
    return made


def _exists(client: MlflowClient, run_id: str) -> bool:
    """Return whether a run is still there: it may have been deleted, or be on another server."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    from mlflow.entities import Metric

    now = int(time() * 1000)
    return [Metric(NOT_IN_NAMES.sub("_", name), float(value), now, step) for name, value in values.items()]
