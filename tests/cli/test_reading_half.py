"""Reading records takes neither a deep-learning stack nor what Windows lacks; what takes more says so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hf_peft_compare.cli.main import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
READING = [
    line for line in (ROOT / "requirements-reading.txt").read_text().splitlines() if line and not line.startswith("#")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OTHERS = [re.split(r"[^\w.-]", line)[0].replace("-", "_") for line in PROJECT["dependencies"] if line not in READING]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return an output directory with the runs of the quickstart."""
    shutil.copytree(ROOT / "reports" / "quickstart" / "records", tmp_path / "runs" / "quickstart")
    return tmp_path / "runs"


def start(missing: list[str], *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands, one after the other, in a process where some packages, or all of POSIX, are missing."""
    words = [word for command in commands for word in ("--", *command.split())]
    code = [sys.executable, str(Path(__file__).with_name("reading_half.py")), ",".join(missing), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(code, capture_output=True, text=True, cwd=ROOT, timeout=300, env=environment)


def reading(runs: Path) -> list[str]:
    """Return every command that reads, with every kind of thing that it reads."""
    listed = [f"list {what}" for what in ("studies", "methods", "tasks", "metrics")]
    shown = [f"show {name}" for name in ("lora", "summarization", "rouge", "quickstart")]
    of_records = [f"{command} quickstart --output-dir {runs}" for command in ("status", "choose", "report")]
    return [*listed, *shown, *of_records]


def test_what_reading_requires_is_part_of_what_all_requires() -> None:
    assert set(READING) < set(PROJECT["dependencies"])
    assert {"torch", "transformers", "peft", "datasets", "wandb"} < set(OTHERS)


def test_reading_takes_only_what_its_requirements_name(runs: Path) -> None:
    done = start(OTHERS, *reading(runs))
    assert done.returncode == 0 and done.stderr == ""
    assert (
        "Recommended: Full fine-tuning" in done.stdout
        and (runs / "quickstart" / "report" / "index.html").stat().st_size > 10**6
    )


def test_reading_takes_nothing_that_windows_lacks(runs: Path) -> None:
    done = start(["windows", *OTHERS], *reading(runs))
    assert done.returncode == 0 and done.stderr == ""
    assert "quickstart: 24 finished" in done.stdout and (runs / "quickstart" / "report" / "index.html").is_file()


@pytest.mark.parametrize("command", ["run", "plan", "doctor"])
def test_a_command_that_takes_more_says_what_to_install(command: str, tmp_path: Path) -> None:
    done = start(["torch", "datasets"], f"{command} quickstart --output-dir {tmp_path}")
    assert done.returncode == 2 and done.stdout == ""
    assert re.match("error: (torch|datasets) is not installed.*pip install hf_peft_compare", done.stderr)
    assert done.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_on_windows_a_study_is_planned_and_not_run(tmp_path: Path) -> None:
    planned = start(["windows"], "plan quickstart --device h200 --method lora")
    assert planned.returncode == 0 and "on NVIDIA H200" in planned.stdout
    place = f"--output-dir {tmp_path}"
    refused = start(["windows"], f"run quickstart {place}", f"run quickstart --detach {place}")
    assert refused.returncode == 2
    assert refused.stderr.count("runs are done on Linux and macOS, and this is win32") == 2
    assert list(tmp_path.iterdir()) == []


def test_json_is_alone_on_the_standard_output(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {}
    for command in reading(runs):
        assert main([*command.split(), "--json"]) == 0
        answers[command.split()[0]] = json.loads(capsys.readouterr().out)
    assert answers["choose"][0]["row"] == answers["report"]["best_row"] == "full"
    assert answers["show"][0]["kind"] == "study" and {entry["name"] for entry in answers["list"]} >= {"rouge", "f1"}
    assert Path(answers["report"]["report"]).is_file()
