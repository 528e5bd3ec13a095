"""Layers of settings: merged deep, each value with the layer it came from."""

import re
from datetime import date
from enum import Enum

import pytest

from hf_peft_compare.config.layers import merge, merge_layers, plain
from hf_peft_compare.core.errors import UserError


def test_merge_goes_deep_and_changes_neither():
    lower, upper = {"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 3}, "d": {"e": 4}}
    assert merge(lower, upper) == {"a": {"b": 3, "c": 2}, "d": {"e": 4}}
    assert (lower, upper) == ({"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 3}, "d": {"e": 4}})


def test_origins_have_no_key_that_a_later_layer_replaced():
    merged, origins = merge_layers([("low", {"a": {"b": 1}}), ("high", {"a": 2})])
    assert merged == {"a": 2}
    assert origins == {"a": "high"}


def holds_itself():
    tree = {}
    tree["a"] = [tree]
    return tree


def bomb():
    value = ["x"]
    for _ in range(20):
        value = [value] * 10
    return value


class Color(Enum):
    RED = "red"


def test_values_are_as_yaml_has_them():
    assert plain({"a": (1, Color.RED), "b": {"y", "x"}}, "study") == {"a": [1, "red"], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: 2}, "key 1 of study.a is int"),
        (date(2020, 1, 1), "study.a is datetime.date(2020, 1, 1) (date); expected"),
        (float("inf"), "study.a is not finite"),
        (float("nan"), "study.a is not finite"),
        (10**400, "beyond ±2^63"),
        ("\ud800", "no file can hold"),
        ("\0", "no file can hold"),
        ("x" * 200_000, "more than 100,000 characters"),
        (holds_itself(), "holds itself"),
        (bomb(), "more than 50,000 values"),
    ],
)
def test_what_no_study_file_can_hold_is_named(value, words):
    with pytest.raises(UserError, match=re.escape(words)):
        plain({"a": value}, "study")
