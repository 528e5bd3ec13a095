"""`report` and `choose` take a study by its name, its file, or its folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from hf_peft_compare.cli.main import main
from hf_peft_compare.core.errors import BAD_INPUT
from hf_peft_compare.report import writing

PUBLISHED = Path(__file__).parents[2] / "reports" / "quickstart" / "records"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return an output directory with the runs of the quickstart."""
    shutil.copytree(PUBLISHED, tmp_path / "quickstart")
    return tmp_path


@pytest.mark.parametrize("way", ["name", "folder", "file"])
def test_a_study_is_found_by_name_folder_and_file(runs: Path, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[2] / "hf_peft_compare" / "studies" / "quickstart.yaml"
    study = {"name": "quickstart", "folder": str(runs / "quickstart"), "file": str(file)}[way]
    place = ["--output-dir", str(runs)]
    assert main(["report", study, "--to", str(runs / "page"), *place]) == 0
    assert (runs / "page" / "index.html").is_file()
    assert "confidence, the best" in capsys.readouterr().out
    assert main(["choose", study, *place]) == 0
    assert "Recommended: " in capsys.readouterr().out


def test_a_folder_of_runs_has_no_settings_that_could_be_changed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs / "quickstart"), "--set", "seeds=[0]"]) == BAD_INPUT
    assert "is a folder of runs; pass the study's file." in capsys.readouterr().err


def test_the_smallest_difference_that_matters_can_be_given(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["report", str(runs / "quickstart"), "--to", str(runs / "page"), "--output-dir", str(runs)]
    assert main([*common, "--smallest-difference", "0.9"]) == 0
    assert "which is enough for the smallest that matters, 0.9." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("command", "option"), [("report", "--smallest-difference"), ("choose", "--within"), ("choose", "--max-minutes")]
)
@pytest.mark.parametrize("value", ["0", "-1", "nan", "much"])
def test_a_distance_is_a_number_above_0(
    command: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "quickstart", option, value])
    assert stopped.value.code == 2
    assert value in capsys.readouterr().err


def test_a_folder_without_runs_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path), "--output-dir", str(tmp_path)]) == 2
    assert "no records in" in capsys.readouterr().err


def test_a_report_on_a_full_disk_leaves_the_old_one_whole(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "records/lora-seed0/predictions.jsonl")

    (runs / "page").mkdir()
    (runs / "page" / "index.html").write_text("old")
    monkeypatch.setattr(writing, "write_predictions", refuse)  # after the pages
    assert main(["report", str(runs / "quickstart"), "--to", str(runs / "page"), "--output-dir", str(runs)]) == 1
    error = capsys.readouterr().err
    assert (
        "report was not written" in error and "lora-seed0" in error and f"the disk of {runs / 'page'} is full" in error
    )
    assert {path: path.read_text() for path in (runs / "page").rglob("*")} == {runs / "page" / "index.html": "old"}


@pytest.mark.parametrize("as_json", [False, True])
def test_a_report_that_latex_refuses_is_there_and_named(
    as_json: bool, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    command = ["report", str(runs / "quickstart"), "--to", str(runs / "page"), "--output-dir", str(runs), "--pdf"]
    assert main([*command, *(["--json"] if as_json else [])]) == BAD_INPUT
    shown, page = capsys.readouterr(), runs / "page" / "index.html"
    assert page.is_file() and "--pdf needs pdflatex" in shown.err
    named = json.loads(shown.out)["report"] if as_json else shown.out.split("report: ")[1].strip()
    assert named == str(page)
