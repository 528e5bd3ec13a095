"""The command line: errors become messages and exit statuses."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hf_peft_compare.cli import list as list_command
from hf_peft_compare.cli.main import main
from hf_peft_compare.core.errors import BAD_INPUT, FAILED, INTERRUPTED, OK, RunFailed, UserError


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """`failing(error)` makes the command `list` raise it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def make(error):
        def fail(*_):
            raise error

        defaults = {"function": fail, "plugin": []}
        monkeypatch.setattr(list_command, "add", lambda commands: commands.add_parser("list").set_defaults(**defaults))

    return make


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("no such study"), BAD_INPUT, "error: no such study"),
        (RunFailed("the loss is nan"), FAILED, "failed: the loss is nan"),
        (KeyboardInterrupt(), INTERRUPTED, "run the same command again to resume from the last checkpoint"),
        (PermissionError(13, "Permission denied", "/x/y"), BAD_INPUT, "error: /x/y: Permission denied. The traceback"),
        (OSError("no\nconnection"), BAD_INPUT, "error: no connection. The traceback"),
        (KeyError("a"), FAILED, "error: KeyError: 'a'. This is a fault of hf-peft-compare. The traceback"),
        (RecursionError("x " * 9999), FAILED, "error: RecursionError: x x"),
    ],
)
def test_an_error_is_one_line_and_a_status(error, status, message, failing, capsys):
    failing(error)
    assert main(["list"]) == status
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.strip().count("\n") == 0 and len(shown) < 1000


def test_the_traceback_of_a_fault_is_kept_in_the_file_named(failing, capsys):
    failing(ValueError("inside"))
    main(["list"])
    path = Path(capsys.readouterr().err.split("The traceback is in ")[1].strip().removesuffix("."))
    assert "in fail\n    raise error\nValueError: inside" in path.read_text()


@pytest.mark.parametrize(("to", "status"), [("| head -c 1 >/dev/null", OK), ("> /dev/full", BAD_INPUT)])
def test_output_that_cannot_be_written_ends_the_command_quietly(to, status):
    command = f"{sys.executable} -m hf_peft_compare list {to}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == status
    assert done.stderr.count("\n") == (status != OK) and "Exception ignored" not in done.stderr


def test_an_unknown_command_is_bad_input(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trian"])
    assert ended.value.code == BAD_INPUT
    assert "invalid choice: 'trian'" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "[]", "null", "{}", '{"config": 1}', "\0"])
def test_a_job_that_is_none_is_one_line(content, tmp_path, capsys):
    path = tmp_path / "job.json"
    if content is not None:
        path.write_text(content)
    assert main(["train-job", str(path)]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith("error: job ") and captured.count("\n") == 1
