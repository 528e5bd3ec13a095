"""Finished runs of every kind on one base."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_runs import METHODS, TEXTS, make_config, make_run, save_base

from hf_peft_compare.inference.prediction import predict_texts


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of every kind on one base, by row."""
    root = tmp_path_factory.mktemp("runs")
    base = save_base(root / "base")
    for row in METHODS:
        make_run(root / row, make_config(base, row))
    return {row: root / row for row in METHODS}


@pytest.fixture(scope="module")
def alone(runs: dict[str, Path]) -> dict[str, list[str]]:
    """What each run predicts when it is loaded alone."""
    return {row: [p["prediction"] for p in predict_texts([folder], TEXTS)] for row, folder in runs.items()}
