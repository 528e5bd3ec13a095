"""The verdict in W&B: an offline run is read back with wandb's own reader; nothing that W&B does ends a study."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from offline_wandb import inspect
from synthetic import make_study_runs

from hf_peft_compare.cli.main import main
from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.orchestration import study_run
from hf_peft_compare.report import wandb_verdict
from hf_peft_compare.report.wandb_verdict import log_verdict, make_report

pytestmark = pytest.mark.usefixtures("no_wandb_account")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """A study of two floors and four trained rows."""
    records, predictions = make_study_runs()
    return compare(records, predictions, expected_runs=[(record.row, 0) for record in records.values()])


def read_tables(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every table of a run by its first columns."""
    tables = [json.loads(path.read_text()) for path in folder.glob("wandb/*/files/media/table/**/*.table.json")]
    return {table["columns"][1]: table for table in tables}


def test_the_verdict_is_a_run_of_the_studys_group(tmp_path: Path, comparison: Comparison) -> None:
    log_verdict("tiny study/é", comparison, tmp_path)
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    run = next(r["run"] for r in map(json.loads, inspect(tmp_path).splitlines()) if r["type"] == "run")
    assert (run["display_name"], run["run_group"], run["job_type"]) == ("verdict", "tiny study/é", "verdict")
    assert run["run_id"] == "tiny-study-é-verdict"
    summary = json.loads(inspect(tmp_path, "--summary"))["summary"]
    assert summary["verdict/text"].splitlines() == describe_verdict(comparison)
    assert summary["verdict/best_row"] == "full"


def test_its_tables_hold_scores_with_intervals_and_the_fronts(tmp_path: Path, comparison: Comparison) -> None:
    log_verdict("tiny-study", comparison, tmp_path)
    tables = read_tables(tmp_path)
    rows = [dict(zip(tables["label"]["columns"], row, strict=True)) for row in tables["label"]["data"]]
    lora = next(row for row in rows if row["row"] == "lora")
    measured = next(row for row in comparison.rows if row.row == "lora")
    interval = measured.intervals["rougeL_fmeasure"]
    assert lora["rougeL_fmeasure/mean"] == pytest.approx(measured.figures["rougeL_fmeasure"])
    assert (lora["rougeL_fmeasure/low"], lora["rougeL_fmeasure/high"]) == pytest.approx((interval.low, interval.high))
    assert lora["trainable_params"] == 4_718_592
    assert next(row for row in rows if row["row"] == "lead")["trainable_params"] is None
    front = [row for row in tables["cost"]["data"] if row[:2] == ["prompt_tuning", "train_seconds"]]
    assert front[0][2] is False and 0 <= front[0][3] <= 1


def test_a_study_without_scores_opens_no_run(tmp_path: Path) -> None:
    log_verdict("tiny-study", compare({}, {}, expected_runs=[("lora", 0)]), tmp_path)
    assert not (tmp_path / "wandb").exists()


def test_disabled_imports_no_wandb_and_leaves_no_file(
    tmp_path: Path, comparison: Comparison, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would raise, and be warned of
    log_verdict("tiny-study", comparison, tmp_path)
    assert caplog.messages == [] and not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("broken", ["init", "Table"])
def test_a_broken_wandb_is_a_warning(
    tmp_path: Path,
    comparison: Comparison,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    import wandb

    def fail(**_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(wandb, broken, fail)
    with caplog.at_level(logging.WARNING):
        log_verdict("tiny-study", comparison, tmp_path)
    assert ["no space left" in message for message in caplog.messages] == [True]


def test_run_ends_with_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Path(__file__).parents[2] / "reports" / "quickstart" / "records"
    shutil.copytree(records, tmp_path / "quickstart")
    monkeypatch.setattr(study_run, "run_jobs", lambda jobs, **_: {})  # all have run
    assert main(["run", "quickstart", "--output-dir", str(tmp_path)]) == 0
    summary = json.loads(inspect(tmp_path / "quickstart", "--summary"))["summary"]
    page = (tmp_path / "quickstart" / "report" / "README.md").read_text(encoding="utf-8")
    assert summary["verdict/text"].splitlines()[0][:30] in page


CHILD = """
import sys
from pathlib import Path
from synthetic import make_study_runs
from hf_peft_compare.comparison import compare
from hf_peft_compare.report.wandb_verdict import log_verdict

records, predictions = make_study_runs(rows=("lead", "lora"))
log_verdict("tiny-study", compare(records, predictions, expected_runs=[("lora", 0), ("lead", 0)]), Path(sys.argv[1]))
print("heavy", {"torch", "transformers"} & set(sys.modules))
"""


def test_without_an_account_it_neither_asks_nor_chatters_nor_needs_torch(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        # Even asked for online, there is nobody to be online as.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "WANDB_MODE": "online"},
    )
    assert process.returncode == 0, process.stdout
    assert process.stdout == "heavy set()\n"
    assert json.loads(inspect(tmp_path, "--summary"))["summary"]["verdict/best_row"] == "lora"


def test_the_report_has_the_verdict_and_the_runs_of_the_study_alone(comparison: Comparison) -> None:
    """Built with W&B's own package, whose classes check what they are given; to save it needs an account."""
    blocks = pytest.importorskip("wandb_workspaces.reports.v2")
    report = make_report(comparison, study="it's tiny", entity="someone", project="hf-peft-compare")
    (sentences,) = (block for block in report.blocks if isinstance(block, blocks.UnorderedList))
    assert list(sentences.items) == describe_verdict(comparison)
    (grid,) = (block for block in report.blocks if isinstance(block, blocks.PanelGrid))
    assert "it's tiny" in str(grid.runsets[0].filters) and "study" in str(grid.runsets[0].filters)
    assert {type(panel) for panel in grid.panels} == {blocks.BarPlot, blocks.ScatterPlot, blocks.LinePlot}


def test_an_online_verdict_makes_its_report_once(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = pytest.importorskip("wandb_workspaces.reports.v2")
    saved: list[str] = []
    monkeypatch.setattr(blocks.Report, "save", lambda report: saved.append(report.title))
    monkeypatch.setattr(blocks.Report, "url", "https://example.test/report")
    run = OnlineRun()
    monkeypatch.setattr(wandb_verdict, "open_run", lambda **about: run)
    for _ in range(2):
        log_verdict("tiny-study", comparison, tmp_path)
    assert saved == ["tiny-study: comparison of methods"]
    assert run.summary["verdict/report"] == "https://example.test/report"


class OnlineRun:
    """A W&B run as it is online, which goes on under its id and keeps its summary."""

    offline, entity, project = False, "someone", "hf-peft-compare"

    def __init__(self) -> None:
        self.summary: dict[str, Any] = {}

    def log(self, values: dict[str, Any]) -> None:
        """Take the tables."""

    def finish(self) -> None:
        """End, to be gone on with."""
