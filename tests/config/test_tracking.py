"""What a study may say of its trackers."""

from __future__ import annotations

from typing import Any

import pytest

from hf_peft_compare.config.tracking import TrackingConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse


@pytest.mark.parametrize(
    ("given", "names"),
    [("mlflow", ["mlflow"]), (["wandb", "mlflow"], ["wandb", "mlflow"]), ("none", []), (None, []), ([], [])],
)
def test_a_name_and_none_are_lists_too(given: Any, names: list[str]) -> None:
    assert parse(TrackingConfig, {"report_to": given}, where="study").report_to == names


def test_without_a_word_it_is_wandb() -> None:
    assert TrackingConfig().report_to == ["wandb"] and TrackingConfig().energy is False


@pytest.mark.parametrize(
    ("given", "reason"),
    [(["wandb", "mlflow", "wandb"], "expected each tracker once"), (3, "list"), ([3], "string"), ({"a": 1}, "list")],
)
def test_anything_else_is_an_error(given: Any, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^study: report_to.* is .*{reason}"):
        parse(TrackingConfig, {"report_to": given}, where="study")


def test_energy_is_measured_or_not_and_changes_no_identity(tiny_study: Any) -> None:
    with pytest.raises(UserError, match="^study: energy is 'codecarbon'"):
        parse(TrackingConfig, {"energy": "codecarbon"}, where="study")
    config, _ = tiny_study("tracking.energy=true").resolve(row="lora", seed=0)
    assert config.tracking.energy and config.hash == tiny_study().resolve(row="lora", seed=0)[0].hash


def test_a_command_line_may_name_one_or_several(tiny_study: Any) -> None:
    for text, names in {"tensorboard": ["tensorboard"], "[wandb, mlflow]": ["wandb", "mlflow"], "[]": []}.items():
        config, origins = tiny_study(f"tracking.report_to={text}").resolve(row="lora", seed=0)
        assert config.tracking.report_to == names
        assert origins["tracking.report_to"] == "command line"
