"""What a budget tunes of each row: its method's ranges and the study's own, without what the row fixes."""

import pytest

from hf_peft_compare.config.search_spaces import LEARNING_RATE, space_of
from hf_peft_compare.core.errors import UserError


def test_what_a_row_fixes_is_not_tuned(tiny_study):
    methods = {"lora": {"r": 4}, "free": {"method": "lora"}, "last_layers": {"num_layers": 0}, "lead": {}}
    study = tiny_study(
        methods=methods, tune={"budget": "2 trials", "parameters": {"lora": {"lora_dropout": [0.0, 0.1]}}}
    )
    spaces = {row: set(space_of(study, row)) for row in methods}
    assert spaces["lora"] == {LEARNING_RATE, "lora_dropout"}
    assert spaces["free"] == {LEARNING_RATE, "r", "lora_dropout"}
    assert spaces["last_layers"] == {LEARNING_RATE}
    assert spaces["lead"] == set()


@pytest.mark.parametrize("value", [{"low": 2, "high": 1}, {"low": 1}, "wide", []])
def test_a_range_that_is_none_is_a_user_error(value, tiny_study):
    with pytest.raises(UserError, match="expected a list of values, or"):
        tiny_study(methods={"full": {}}, tune={"budget": "2 trials", "parameters": {"full": {LEARNING_RATE: value}}})
