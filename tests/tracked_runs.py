"""Runs as trackers see them, and those of W&B read back without network by wandb's own reader of its log."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.tracking import TrackingConfig
from hf_peft_compare.config.training import TrainingConfig
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.training.callbacks.tracking import Tracking

WANDB = Path(sys.executable).with_name("wandb")
PREDICTIONS = [
    {
        "id": str(i),
        "source": f"A long text {i}.",
        "reference": "Short.",
        "prediction": "Shorter.",
        "scores": {"rougeL_fmeasure": 0.25 * i, "entity_recall": 1.0},
        "nll": 3.5,
        "num_tokens": 2,
    }
    for i in range(3)
]


def needs(module: str) -> pytest.MarkDecorator:
    """Skip where a tracker's module is not installed, without importing it."""
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")


def make_config(*report_to: str, **changes: Any) -> RunConfig:
    """Return the config of a run that is logged to some trackers; none named: to W&B."""
    settings: dict[str, Any] = {
        "study": "tiny-study",
        "row": "lora",
        "seed": 3,
        "task": {"name": "summarization"},
        "method": {"name": "lora", "r": 2},
        "dataset": "embedded",
        "model_name_or_path": "embedded",
        "training": TrainingConfig(learning_rate=2e-4),
        "tracking": TrackingConfig(report_to=list(report_to)) if report_to else TrackingConfig(),
    }
    return RunConfig(**settings | changes)


def make_record(config: RunConfig, **changes: Any) -> RunRecord:
    record: dict[str, Any] = {
        "status": "finished",
        "error": None,
        "study": config.study,
        "row": config.row,
        "method": config.method["name"],
        "seed": config.seed,
        "config": asdict(config),
        "config_origins": {},
        "config_hash": config.hash,
        "card": {"title": "LoRA"},
        "parameters": {"trainable_params": 5, "total_params": 1000},
        "results": {"rougeL_fmeasure": 0.25, "test_loss": 2.5},
        "validation": {"best_loss": 2.25, "best_step": 4, "best_epoch": 1.0},
        "seconds": {"train": 1.5, "evaluation": 0.5, "save": 0.1, "load": 0.2},
        "memory": {"baseline_bytes": None, "resident_peak_bytes": 7_000_000},
        "throughput": {"train_tokens_per_second": 99.0},
    }
    return RunRecord(**record | changes)


def inspect(folder: Path, *options: str) -> str:
    """Read the newest run of a folder with wandb's own reader of its transaction log."""
    log = max(folder.glob("wandb/*run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    command = [str(WANDB), "leet", "inspect", str(log), "--json", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def read_history(folder: Path) -> list[dict[str, float]]:
    records = map(json.loads, inspect(folder).splitlines())
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def log_steps(tracking: Tracking, *steps: int) -> None:
    for step in steps:
        state = SimpleNamespace(global_step=step)
        tracking.on_log(None, state, None, logs={"loss": 1 / step, "learning_rate": 0.1, "epoch": step / 4})
        tracking.on_log(None, state, None, logs={"eval_loss": 9.0, "eval_runtime": 0.1})
        tracking.on_evaluate(None, state, None, metrics={"eval_nats_per_label": 3.0 / step, "eval_loss": 9.0})


def track(config: RunConfig, folder: Path, *steps: int, interrupted: bool = False) -> Tracking:
    """Log a run to the trackers of its config: of two steps unless others are given, finished unless interrupted."""
    tracking = Tracking(config=config, folder=folder)
    tracking.start()
    log_steps(tracking, *steps or (1, 2))
    if not interrupted:
        tracking.finish(make_record(config), PREDICTIONS)
    tracking.close(failed=interrupted)
    return tracking
