"""Which trackers a study may name on a machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_peft_compare.cli.main import main
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.tracking import check_energy, check_trackers


def test_none_and_those_that_are_installed_pass() -> None:
    check_trackers([])
    check_trackers(["wandb"])


def test_an_unknown_one_is_named_with_the_nearest_and_those_installed() -> None:
    with pytest.raises(UserError) as error:
        check_trackers(["wandb", "mlfow"])
    assert "unknown tracker 'mlfow'. Did you mean 'mlflow'?" in str(error.value)
    installed = str(error.value).partition("Installed: ")[2].partition(".")[0].split(", ")
    assert "wandb" in installed and "comet_ml" not in installed


def test_one_that_is_not_installed_says_how_to(without: Callable[[str], None]) -> None:
    without("mlflow")
    with pytest.raises(UserError, match=r"mlflow, which is not installed. Run `pip install '.*\[mlflow\]'`"):
        check_trackers(["mlflow"])


def test_what_leaves_nothing_behind_is_no_tracker() -> None:
    with pytest.raises(UserError, match="unknown tracker 'codecarbon'"):
        check_trackers(["codecarbon"])


def test_one_that_transformers_knows_but_does_not_find_is_refused() -> None:
    with pytest.raises(UserError, match="clearml, which transformers finds not installed.*wandb"):
        check_trackers(["clearml"])


def test_energy_without_codecarbon_says_how_to_install_it(without: Callable[[str], None]) -> None:
    without("codecarbon")
    check_energy(False, max_parallel=2)
    with pytest.raises(UserError, match=r"tracking.energy needs .* not installed. Run `pip install '.*\[energy\]'`"):
        check_energy(True)


@pytest.mark.parametrize("max_parallel", [2, "auto"])
def test_energy_of_runs_side_by_side_is_refused(monkeypatch: pytest.MonkeyPatch, max_parallel: int | str) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", pytest)  # as if it were installed
    check_energy(True, max_parallel=1)
    check_energy(True, max_parallel=None)
    with pytest.raises(UserError, match=f"--max-parallel is {max_parallel}; set it to 1, or tracking.energy to false"):
        check_energy(True, max_parallel=max_parallel)


def test_nothing_is_written_before_codecarbon_is_looked_for(
    tmp_path: Path, capsys: Any, without: Callable[[str], None]
) -> None:
    without("codecarbon")
    options = ["--output-dir", str(tmp_path), "--set", "tracking={report_to: none, energy: true}"]
    for command in (["run", "quickstart"], ["train", "quickstart", "--method", "lead"]):
        assert main([*command, *options]) == 2
        assert "tracking.energy needs codecarbon" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_before_the_trackers_are_checked(tmp_path: Any, capsys: Any) -> None:
    options = ["--output-dir", str(tmp_path), "--set", "tracking.report_to=[wnadb]"]
    for command in (["run", "quickstart"], ["train", "quickstart", "--method", "lead"]):
        assert main([*command, *options]) == 2
        assert "unknown tracker 'wnadb'. Did you mean 'wandb'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
