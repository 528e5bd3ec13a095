"""YAML texts: numbers as YAML 1.2 has them, and one line of reason for what cannot be read."""

import pytest

from hf_peft_compare.config.yaml_text import read_yaml_text


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("{a: &x [1], b: *x}", {"a": [1], "b": [1]})])
def test_numbers_and_anchors_are_read(text, value):
    assert read_yaml_text(text) == value


def test_a_merged_mapping_may_be_overridden_key_by_key():
    assert read_yaml_text("a: &a {r: 4, b: 1}\nc: {<<: *a, r: 8}")["c"] == {"r": 8, "b": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: {c: 1, c: 2}", "line 2: key 'c' stands twice"),
        ("a: [1\n", "line 2: "),
        ("[" * 500, "it is nested too deeply"),
        ("a: !!bool x", "'x'"),
        ("a: 2020-99-99", "month must be in 1..12"),
        ("a: !!python/object:os.system {}", "line 1: could not determine a constructor"),
        ("a: \x01", "special characters are not allowed"),
    ],
)
def test_what_cannot_be_read_has_its_reason_in_one_line(text, reason):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as error:
        read_yaml_text(text)
    assert reason in str(error.value)
