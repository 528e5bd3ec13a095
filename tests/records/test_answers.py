"""Answers of two models to the same documents: one of each per document."""

import pytest
from pydantic import ValidationError

from hf_peft_compare.records.answers import Answers


def test_a_change_is_a_document_that_only_one_of_both_answers():
    assert Answers(tuned="0110", untouched="0011").changes == [0, 1, 0, -1]


@pytest.mark.parametrize(("tuned", "untouched"), [("", ""), ("01", "0"), ("02", "00"), ("0\n", "00")])
def test_answers_that_are_none_are_refused(tuned, untouched):
    with pytest.raises(ValidationError):
        Answers(tuned=tuned, untouched=untouched)
