"""Exact match: the very text, whatever its case and white space."""

import pytest

from hf_peft_compare.metrics.exact_match import ExactMatch


def right(prediction, reference, **settings):
    return ExactMatch(**settings).compute([prediction], [reference])["exact_match"] == [1.0]


@pytest.mark.parametrize("text", ["Yes", "yes", " YES \n", "Yes"])
def test_case_and_white_space_do_not_count(text):
    assert right(text, "Yes")


@pytest.mark.parametrize("text", ["", "no", "yes.", "yes yes", "y es"])
def test_all_else_counts(text):
    assert not right(text, "Yes")


def test_settings_make_it_stricter_or_milder():
    assert not right("yes", "Yes", ignore_case=False)
    assert right("Yes: it is!", "yes it_is", ignore_punctuation=True) is False
    assert right("Yes, it is!", "yes it is", ignore_punctuation=True)
    assert not right("35", "3.5")
