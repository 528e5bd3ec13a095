"""A learning rate for a whole study is said to suit some methods badly, with their names."""

from hf_peft_compare.config.shared_rates import describe_shared_rate

METHODS = {"lead": {}, "prompt_tuning": {}, "full": {}, "last": {"method": "last_layers"}}


def test_a_shared_rate_names_the_rows_whose_default_is_far_from_it(tiny_study):
    text = describe_shared_rate(tiny_study("training.learning_rate=1e-4", methods=METHODS))
    assert "0.0001, is set for all rows" in text
    assert "prompt_tuning (0.03)" in text
    assert "full (" not in text and "lead" not in text


def test_rows_with_a_rate_of_their_own_are_not_named(tiny_study):
    methods = {"prompt_tuning": {"training": {"learning_rate": 0.01}}, "full": {}}
    assert describe_shared_rate(tiny_study(methods=methods, training={"learning_rate": 5e-5})) is None


def test_without_a_shared_rate_nothing_is_said(tiny_study):
    assert describe_shared_rate(tiny_study(methods=METHODS)) is None
