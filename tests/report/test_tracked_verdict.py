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
from tracked_runs import inspect

from hf_peft_compare.cli.main import main
from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.orchestration import study_run
from hf_peft_compare.report.tracked_verdict import log_verdict

pytestmark = pytest.mark.usefixtures("no_wandb_account")


def read_tables(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every table of a run by its first columns."""
    tables = [json.loads(path.read_text()) for path in folder.glob("wandb/*/files/media/table/**/*.table.json")]
    return {table["columns"][1]: table for table in tables}


def test_the_verdict_is_a_run_of_the_studys_group(tmp_path: Path, comparison: Comparison) -> None:
    log_verdict("tiny study/é", comparison, tmp_path, ["wandb"])
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    run = next(r["run"] for r in map(json.loads, inspect(tmp_path).splitlines()) if r["type"] == "run")
    assert (run["display_name"], run["run_group"], run["job_type"]) == ("verdict", "tiny study/é", "verdict")
    assert run["run_id"] == "tiny-study-é-verdict"
    summary = json.loads(inspect(tmp_path, "--summary"))["summary"]
    assert summary["verdict/text"].splitlines() == describe_verdict(comparison)
    assert summary["verdict/best_row"] == "full"


def test_its_tables_hold_scores_with_intervals_and_the_fronts(tmp_path: Path, comparison: Comparison) -> None:
    log_verdict("tiny-study", comparison, tmp_path, ["wandb"])
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
    log_verdict("tiny-study", compare({}, {}, expected_runs=[("lora", 0)]), tmp_path, ["wandb"])
    assert not (tmp_path / "wandb").exists()


def test_disabled_imports_no_wandb_and_leaves_no_file(
    tmp_path: Path, comparison: Comparison, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would raise, and be warned of
    log_verdict("tiny-study", comparison, tmp_path, ["wandb"])
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
        log_verdict("tiny-study", comparison, tmp_path, ["wandb"])
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
from synthetic import make_comparison
from hf_peft_compare.report.tracked_verdict import log_verdict

log_verdict("tiny-study", make_comparison("lead", "lora"), Path(sys.argv[1]), ["wandb"])
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
