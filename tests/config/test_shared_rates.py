"""A learning rate for a whole study is said to suit some methods badly, with their names."""

import json

import pytest

from hf_peft_compare.cli.main import main
from hf_peft_compare.config.shared_rates import describe_shared_rate

METHODS = {"lead": {}, "prompt_tuning": {}, "full": {}, "last": {"method": "last_layers"}}


def test_a_shared_rate_names_the_rows_whose_default_is_far_from_it(tiny_study):
    text = describe_shared_rate(tiny_study("training.learning_rate=1e-4", methods=METHODS))
    assert "0.0001, is set for all rows" in text
    assert "prompt_tuning (0.03)" in text
    assert "full (" not in text and "lead" not in text


def test_a_peft_row_is_judged_by_the_rate_of_its_type(tiny_study):
    methods = {"ia3": {"peft_type": "IA3"}, "osf": {"peft_type": "OSF"}}
    text = describe_shared_rate(tiny_study("training.learning_rate=1e-4", methods=methods))
    assert "ia3 (0.008)" in text and "osf" not in text


def test_rows_with_a_rate_of_their_own_are_not_named(tiny_study):
    methods = {"prompt_tuning": {"training": {"learning_rate": 0.01}}, "full": {}}
    assert describe_shared_rate(tiny_study(methods=methods, training={"learning_rate": 5e-5})) is None


def test_without_a_shared_rate_nothing_is_said(tiny_study):
    assert describe_shared_rate(tiny_study(methods=METHODS)) is None


@pytest.mark.parametrize("asked", [["plan"], ["doctor"], ["run", "--dry-run"]], ids=lambda words: words[0])
def test_commands_say_it_before_their_answer(asked, tiny_study, tmp_path, capsys):
    tiny_study(methods=METHODS)
    command = [*asked, str(tmp_path / "tiny.yaml"), "--method", "lead"]
    assert main([*command, "--set", "training.learning_rate=1e-4"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("One learning rate, 0.0001, is set for all rows") and "prompt_tuning (0.03)" in first
    assert any("lead" in line for line in others)
    assert main(command) == 0
    assert "One learning rate" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["plan", "doctor"])
def test_json_stays_json(command, tiny_study, tmp_path, capsys):
    tiny_study(methods=METHODS)
    asked = [command, str(tmp_path / "tiny.yaml"), "--method", "lead", "--json"]
    assert main([*asked, "--set", "training.learning_rate=1e-4"]) == 0
    assert json.loads(capsys.readouterr().out)
