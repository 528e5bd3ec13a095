"""Configs for `accelerate launch`: found by name or path."""

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.accelerate_configs import FOLDER, find_accelerate_config


def test_a_config_is_found_by_its_name_and_by_its_path(tmp_path):
    assert find_accelerate_config("fsdp") == FOLDER / "fsdp.yaml"
    own = tmp_path / "mine.yaml"
    own.touch()
    assert find_accelerate_config(str(own)) == own


def test_an_unknown_one_lists_those_there_are():
    with pytest.raises(UserError, match="unknown accelerate config 'fsdq': use .*fsdp"):
        find_accelerate_config("fsdq")
