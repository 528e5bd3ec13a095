"""Trackio: its local database is read back with its own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tracked_runs import needs

pytestmark = [needs("trackio"), pytest.mark.slow]

LOGGING = """
import sys
from pathlib import Path
from synthetic import make_comparison
from tracked_runs import make_config, track
from hf_peft_compare.report.tracked_verdict import log_verdict

study = Path(sys.argv[1])
config, other = make_config("trackio"), make_config("trackio", seed=4)
notes = [
    *track(config, study / config.run, 1, interrupted=True).notes,
    *track(config, study / config.run, 2, interrupted=True).notes,
    *track(other, study / other.run).notes,
]
log_verdict("tiny-study", make_comparison("lead", "lora"), study, ["trackio"])
print("notes", notes)
"""
READING = """
import json
import trackio
from trackio.sqlite_storage import SQLiteStorage

found = {}
for run in trackio.Api().runs("tiny-study"):
    logs = SQLiteStorage.get_logs("tiny-study", run.name, run_id=run.id)
    found.setdefault(run.name, []).append({"config": run.config, "logs": logs})
print("FOUND" + json.dumps(found, default=str))
"""


def run(code: str, folder: Path, *arguments: str) -> str:
    """Run code in a process of its own, since Trackio reads where its database is when it is imported."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "TRACKIO_DIR": str(folder / "trackio")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_study_is_a_project_with_its_runs_and_its_verdict(tmp_path: Path) -> None:
    assert run(LOGGING, tmp_path, str(tmp_path / "study")) == "notes []\n"  # and nothing else is printed
    found: dict[str, list[Any]] = json.loads(run(READING, tmp_path).partition("FOUND")[2])
    assert {name: len(runs) for name, runs in found.items()} == {"lora-seed3": 1, "lora-seed4": 1, "verdict": 1}
    whole, verdict, resumed = found["lora-seed4"][0], found["verdict"][0], found["lora-seed3"][0]
    assert [entry["step"] for entry in resumed["logs"] if "train/loss" in entry] == [1, 2]
    assert whole["config"]["training"]["learning_rate"] == 2e-4
    steps = [(entry["step"], entry["train/loss"]) for entry in whole["logs"] if "train/loss" in entry]
    assert steps == [(1, 1.0), (2, 0.5)]
    assert [entry["eval/loss"] for entry in whole["logs"] if "eval/loss" in entry] == [3.0, 1.5]
    (last,) = [entry for entry in whole["logs"] if "test/test_loss" in entry]
    assert (last["test/test_loss"], last["parameters/trainable_params"], last["status"]) == (2.5, 5, "finished")
    assert "A long text 2." in json.dumps(last["predictions"]) and last["step"] == 2
    assert [entry["verdict/best_row"] for entry in verdict["logs"]] == ["lora"]
