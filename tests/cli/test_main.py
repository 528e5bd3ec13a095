"""The command line: errors become messages and exit statuses."""

import pytest

from hf_peft_compare.cli import list as list_command
from hf_peft_compare.cli.main import main
from hf_peft_compare.core.errors import BAD_INPUT, FAILED, INTERRUPTED, RunFailed, UserError


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("no such study"), BAD_INPUT, "error: no such study"),
        (RunFailed("the loss is nan"), FAILED, "failed: the loss is nan"),
        (KeyboardInterrupt(), INTERRUPTED, "run the same command again to resume from the last checkpoint"),
    ],
)
def test_an_error_is_one_message_and_a_status(error, status, message, monkeypatch, capsys):
    def fail(*_):
        raise error

    defaults = {"function": fail, "plugin": []}
    monkeypatch.setattr(list_command, "add", lambda commands: commands.add_parser("list").set_defaults(**defaults))
    assert main(["list"]) == status
    assert message in capsys.readouterr().err


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
