"""TensorBoard: event files are read back with its own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tracked_runs import make_config, needs, track

from hf_peft_compare.comparison import Comparison
from hf_peft_compare.report.tracked_verdict import log_verdict

pytestmark = needs("tensorboard")


def read(folder: Path) -> Any:
    """Return all events of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def text(events: Any, name: str) -> str:
    (event,) = events.Tensors(f"{name}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_a_run_has_curves_figures_and_texts(tmp_path: Path) -> None:
    assert track(make_config("tensorboard"), tmp_path).notes == []
    events = read(tmp_path)
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(1, 1.0), (2, 0.5)]
    assert [(e.step, e.value) for e in events.Scalars("eval/loss")] == [(1, 3.0), (2, 1.5)]
    assert [(e.step, e.value) for e in events.Scalars("test/test_loss")] == [(2, 2.5)]
    assert [e.value for e in events.Scalars("parameters/trainable_params")] == [5]
    assert [e.value for e in events.Scalars("seconds/train")] == [1.5]
    assert text(events, "status") == "finished"
    assert '"learning_rate": 0.0002' in text(events, "config")
    assert "| 2 | A long text 2. | Short. | Shorter. | 0.5 | 1.0 |" in text(events, "predictions").splitlines()


def test_an_interrupted_run_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    track(make_config("tensorboard"), tmp_path, 1, interrupted=True)
    track(make_config("tensorboard"), tmp_path, 2)
    assert [e.step for e in read(tmp_path).Scalars("train/loss")] == [1, 2]


def test_the_users_folder_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "mine"))
    track(make_config("tensorboard"), tmp_path / "run")
    assert list((tmp_path / "mine" / "tiny-study" / "lora-seed3").glob("events.*"))
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_the_verdict_is_a_text_of_the_study(tmp_path: Path, comparison: Comparison) -> None:
    log_verdict("tiny-study", comparison, tmp_path, ["tensorboard"])
    events = read(tmp_path)
    assert text(events, "verdict/best_row") == "full"
    assert text(events, "verdict/comparison").count("\n") == 1 + len(comparison.finished_rows)
