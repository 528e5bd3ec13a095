"""Mappings become typed settings, or one error with all that is wrong."""

import pytest

from hf_peft_compare.config.training import TrainingConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse


def test_parse_reports_every_problem_at_once():
    with pytest.raises(UserError) as error:
        parse(TrainingConfig, {"learning_rate": "x", "epochs": 1}, where="here")
    assert str(error.value).startswith("here: ")
    assert "learning_rate is 'x'" in str(error.value)
    assert "unknown key 'epochs'" in str(error.value)
