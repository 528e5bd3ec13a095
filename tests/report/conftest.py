"""Reports that several tests read; each is written once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hostile import EVERYTHING, hostile_runs, hostile_study
from synthetic import REFERENCES, Study, make_big_study, make_failed, make_study_runs

from hf_peft_compare.report import write_report


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a finished study with reference values."""
    folder = tmp_path_factory.mktemp("full")
    return write_report(Study(references=REFERENCES), *make_study_runs(), folder).parent


@pytest.fixture(scope="session")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study without CUDA of which one run failed and one is still to come."""
    records, predictions = make_study_runs(rows=("lead", "prompt_tuning", "last_layers"), cuda=False)
    records["lora-seed0"] = make_failed("lora", "Traceback (most recent call last):\n  File x\nRuntimeError: boom <&>")
    return write_report(Study(), records, predictions, tmp_path_factory.mktemp("half")).parent


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study whose every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    return write_report(hostile_study(), *hostile_runs(), folder, study_file=EVERYTHING).parent


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of ten rows, five seeds and 3,000 test examples."""
    return write_report(*make_big_study(), tmp_path_factory.mktemp("big")).parent


@pytest.fixture(scope="session")
def pdflatex() -> str:
    """The path of pdflatex; skips where there is none."""
    return shutil.which("pdflatex") or pytest.skip("pdflatex is not installed")
