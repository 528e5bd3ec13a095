"""A run and its trackers: each gets the same curves, figures and predictions, and none can end the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from tracked_runs import PREDICTIONS, make_config, make_record, track

from hf_peft_compare.config.tracking import TrackingConfig
from hf_peft_compare.core.registry import register_tracker
from hf_peft_compare.core.tracker import TrackedRun, TrackedTable, Tracker
from hf_peft_compare.training.callbacks.tracking import summarize


class Notebook(Tracker):
    """A tracker that writes down what it is asked to do."""

    name, title, package, install = "notebook", "Notebook", "json", "nothing"
    pages: list[object] = []

    def start(self, run: TrackedRun) -> None:
        self.pages.append((run.study, run.name, run.kind))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.pages.append((step, dict(values)))

    def finish(self, figures: Mapping[str, str | float], tables: Mapping[str, TrackedTable]) -> None:
        self.pages.append((figures, tables))

    def close(self, *, failed: bool) -> None:
        self.pages.append(f"closed, failed: {failed}")


class Torn(Notebook):
    """A tracker whose disk is full from the second step on."""

    name, title = "torn", "Torn"

    def log(self, values: Mapping[str, float], step: int) -> None:
        if step > 1:
            raise OSError("no space left on device")


@pytest.fixture(autouse=True)
def notebook() -> list[object]:
    """What the notebook holds; both trackers are registered for one test."""
    register_tracker(Notebook)
    register_tracker(Torn)
    Notebook.pages.clear()
    return Notebook.pages


def test_a_tracker_of_a_plugin_gets_each_value_once(tmp_path: Path, notebook: list[object]) -> None:
    config = make_config("notebook")
    tracking = track(config, tmp_path)
    tracking.close()  # again
    start, *steps, (figures, tables), end = notebook
    assert start == ("tiny-study", "lora-seed3", "lora")
    assert steps == [
        (1, {"train/loss": 1.0, "train/learning_rate": 0.1, "train/epoch": 0.25}),
        (1, {"eval/loss": 3.0}),
        (2, {"train/loss": 0.5, "train/learning_rate": 0.1, "train/epoch": 0.5}),
        (2, {"eval/loss": 1.5}),
    ]
    assert {"status": "finished", "test/test_loss": 2.5, "seconds/train": 1.5}.items() <= figures.items()
    assert len(tables["predictions"].rows) == len(PREDICTIONS)
    assert end == "closed, failed: False"


def test_one_that_fails_in_the_middle_is_noted_once_and_the_others_go_on(
    tmp_path: Path, notebook: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config("torn", "notebook")
    with caplog.at_level(logging.WARNING):
        tracking = track(config, tmp_path)
    note = "Torn failed while logging, so its log is incomplete (OSError: no space left on device)."
    assert tracking.notes == caplog.messages == [note]
    assert len([page for page in notebook if page == ("tiny-study", "lora-seed3", "lora")]) == 2
    assert [page[0] for page in notebook if isinstance(page, tuple) and len(page) == 2][:4] == [1, 1, 2, 2]
    assert len(notebook) == 2 + 4 + 1 + 2  # both start and close; one logs and finishes


def test_none_logs_to_nothing(tmp_path: Path, notebook: list[object]) -> None:
    assert track(make_config(tracking=TrackingConfig(report_to=[])), tmp_path).notes == []
    assert notebook == [] and list(tmp_path.iterdir()) == []


def test_the_summary_leaves_out_what_is_unknown() -> None:
    lead = make_record(make_config(), parameters=None, validation=None, memory={"baseline_bytes": None})
    assert not any(name.startswith(("parameters/", "validation/", "memory/")) for name in summarize(lead))
    assert summarize(lead)["test/test_loss"] == 2.5
