"""Which bases read with an encoder and write with a decoder, from the fields of a config."""

import json

import pytest

from hf_peft_compare.utils.base_kinds import is_encoder_decoder, saved_fields


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model_type": "t5"}, True),
        ({"model_type": "bart"}, True),
        ({"model_type": "bart", "is_encoder_decoder": False}, False),
        ({"model_type": "gpt2"}, False),
        ({"model_type": "bert"}, False),
        ({"model_type": "whisper"}, False),  # it reads no text
        ({"model_type": ["t5"]}, False),
        ({}, False),
    ],
)
def test_what_a_config_says(fields, expected):
    assert is_encoder_decoder(fields) is expected


def test_a_folder_without_a_readable_config_has_no_fields(tmp_path):
    assert saved_fields(str(tmp_path), None) == {}
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "config.json").write_text(json.dumps({"model_type": "t5", "d_model": 8}))
    assert saved_fields(str(saved), None)["d_model"] == 8
