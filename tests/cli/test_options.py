"""Options that commands share, and the folders that they name."""

import argparse
import shutil

import pytest

from hf_peft_compare.cli.main import make_parser
from hf_peft_compare.cli.options import number, positive, run_folder, study_folder
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.run_folder import RECORD_FILE


@pytest.fixture
def run(tmp_path):
    """The folder of a run that has a record."""
    folder = tmp_path / "runs" / "tiny" / "lora-seed0"
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).touch()
    return folder


def test_a_run_is_found_by_its_name_and_by_its_folder(run, tmp_path):
    assert run_folder("tiny/lora-seed0", tmp_path / "runs") == run
    assert run_folder(str(run), tmp_path / "elsewhere") == run
    with pytest.raises(UserError, match="no run 'tiny/full-seed0'"):
        run_folder("tiny/full-seed0", tmp_path / "runs")


def test_a_study_is_found_by_its_name_and_by_its_folder_if_it_has_a_record(run, tmp_path):
    assert study_folder("tiny", tmp_path / "runs") == run.parent
    assert study_folder(str(run.parent), tmp_path / "elsewhere") == run.parent
    report = tmp_path / "report"
    shutil.copytree(run.parent, report / "records")  # as reports are published
    assert study_folder(str(report), tmp_path / "elsewhere") == report / "records"
    (run / RECORD_FILE).unlink()
    with pytest.raises(UserError, match="no records in"):
        study_folder("tiny", tmp_path / "runs")


@pytest.mark.parametrize("text", ["0", "-3"])
def test_a_count_is_at_least_one(text):
    assert positive("4") == 4
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is not a positive number"):
        positive(text)


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_a_limit_is_finite(text):
    assert number("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is not a number"):
        number(text)


LOADING = ["run s", "train s --method m", "plan s", "doctor s", "predict r --text t", "export r f"]


@pytest.mark.parametrize("command", LOADING)
def test_code_of_models_is_allowed_by_a_flag_of_each_command_that_loads_one(command):
    parse = make_parser().parse_args
    assert not parse(command.split()).trust_remote_code
    assert parse([*command.split(), "--trust-remote-code"]).trust_remote_code
