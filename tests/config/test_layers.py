"""Layers of settings: merged deep, each value with the layer it came from."""

from hf_peft_compare.config.layers import merge, merge_layers


def test_merge_goes_deep_and_changes_neither():
    lower, upper = {"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 3}, "d": {"e": 4}}
    assert merge(lower, upper) == {"a": {"b": 3, "c": 2}, "d": {"e": 4}}
    assert (lower, upper) == ({"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 3}, "d": {"e": 4}})


def test_origins_have_no_key_that_a_later_layer_replaced():
    merged, origins = merge_layers([("low", {"a": {"b": 1}}), ("high", {"a": 2})])
    assert merged == {"a": 2}
    assert origins == {"a": "high"}
