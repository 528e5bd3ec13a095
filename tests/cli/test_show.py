"""`show` and `list`: all that a study may name, with its settings, and no torch."""

import json
import subprocess
import sys

import pytest

from hf_peft_compare.cli.main import main
from hf_peft_compare.core.registry import METHODS, METRICS, TASKS
from hf_peft_compare.metrics.numeric_answer import NumericAnswer


def test_a_method_is_shown_with_card_settings_defaults_and_ranges(capsys):
    assert main(["show", "last_layers"]) == 0
    output = capsys.readouterr().out
    assert "last_layers (method): Last layers" in output
    assert "num_layers: NonNegativeInt = 1\n        number of transformer blocks trained" in output
    assert "learning_rate: 0.0005" in output
    assert "training.learning_rate: 5e-05 to 0.05 on a logarithmic scale" in output
    assert "arxiv.org/abs/1801.06146" in output


def test_settings_that_are_inherited_have_their_meaning(capsys):
    assert main(["show", "expert"]) == 0
    output = capsys.readouterr().out
    assert "persona: str" in output and "template: " in output
    assert output.split("template: ")[1].split("\n")[1].startswith("        ")


def test_learning_rates_that_settings_decide_are_shown(capsys):
    assert main(["show", "peft"]) == 0
    assert "{peft_type: IA3}: 0.008, tuned over 0.0003 to 0.3" in capsys.readouterr().out
    assert main(["show", "peft", "--json"]) == 0
    (tree,) = json.loads(capsys.readouterr().out)
    assert tree["rates"]["{peft_type: IA3}"].items() >= {"value": 8e-3, "low": 3e-4, "high": 0.3}.items()


@pytest.mark.parametrize("registry", [METHODS, TASKS, METRICS])
def test_everything_can_be_shown(registry, capsys):
    for name in registry.entries:
        assert main(["show", name]) == 0
        assert f"{name} ({registry.what})" in capsys.readouterr().out


def test_a_metrics_settings_are_in_its_json_too(capsys):
    settings = {}
    for name in ("numeric_answer", "accuracy"):
        assert main(["show", name, "--json"]) == 0
        (tree,) = json.loads(capsys.readouterr().out)
        settings[name] = {setting["name"]: setting["default"] for setting in tree["settings"]}
    assert settings["numeric_answer"]["tolerance"] == NumericAnswer().tolerance and settings["accuracy"] == {}


def test_a_study_is_shown_with_its_keys(capsys):
    assert main(["show", "quickstart"]) == 0
    assert "model_name_or_path: embedded" in capsys.readouterr().out


def test_a_name_of_several_kinds_shows_each(capsys, monkeypatch):
    monkeypatch.setattr(METRICS, "registered", {"lora": METRICS.get("accuracy")})
    assert main(["show", "lora"]) == 0
    output = capsys.readouterr().out
    assert "lora (method)" in output and "accuracy (metric)" in output


def test_an_unknown_name_names_the_nearest(capsys):
    assert main(["show", "lorra"]) == 2
    assert "unknown name 'lorra'. Did you mean 'lora'?" in capsys.readouterr().err


@pytest.mark.parametrize(("what", "registry"), [("methods", METHODS), ("tasks", TASKS), ("metrics", METRICS)])
def test_list_names_every_one(what, registry, capsys):
    assert main(["list", what]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line[0] != " "] == sorted(registry.entries)


@pytest.mark.parametrize("arguments", [["list"], ["list", "methods"], ["list", "metrics"], ["show", "qlora"]])
def test_neither_needs_torch(arguments):
    code = f"import sys; from hf_peft_compare.cli.main import main; main({arguments}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
