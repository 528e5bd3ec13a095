"""Numeric answer: the last number of the output against the last one of the reference."""

from decimal import Decimal

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import choose_metrics
from hf_peft_compare.metrics.numeric_answer import NumericAnswer, last_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("48/2 = <<48/2=24>>24 clips.\n#### 72", "72"),
        ("She has 3 apples, so 5 in all.", "5"),
        ("It costs $1,234.50!", "1234.50"),
        ("1,234,567", "1234567"),
        ("1, 2, 3", "3"),
        ("the years 12,34", "34"),  # no group of three digits
        ("-7", "-7"),
        ("minus −7.5 degrees", "-7.5"),
        ("-$7", "-7"),
        ("pages 3-5", "5"),
        ("x-5", "5"),
        ("(2)-5", "5"),
        ("2 - 5 = -3", "-3"),
        ("a half is .5", "0.5"),
        ("72.", "72"),
        ("007", "7"),
        (r"\boxed{42}", "42"),
        ("50%", "50"),
        ("1234567890123456789012345678901", "1234567890123456789012345678901"),
        ("", None),
        ("none at all", None),
        ("$,.-", None),
    ],
)
def test_the_last_number_of_a_text(text, number):
    assert last_number(text) == (None if number is None else Decimal(number))


def scores(prediction, reference, **settings):
    return {name: value for name, (value,) in NumericAnswer(**settings).compute([prediction], [reference]).items()}


def test_a_number_is_right_however_it_is_written():
    assert scores("So it is 1072.00 dollars", "#### 1,072") == {"numeric_answer": 1, "no_number": 0}
    assert scores("1073", "#### 1,072") == {"numeric_answer": 0, "no_number": 0}
    assert scores("72 of 80", "72")["numeric_answer"] == 0  # the last one counts


def test_no_number_is_wrong_and_counted_apart():
    assert scores("I cannot tell.", "0") == {"numeric_answer": 0, "no_number": 1}


def test_within_a_tolerance_numbers_are_equal():
    assert scores("0.3", "0.31")["numeric_answer"] == 0
    assert scores("0.3", "0.31", tolerance=0.01)["numeric_answer"] == 1  # exactly, not as binary fractions
    assert scores("0.2999", "0.31", tolerance=0.01)["numeric_answer"] == 0


def test_digits_beyond_those_of_a_float_count():
    assert scores("1234567890123456789012345678901", "1234567890123456789012345678902")["numeric_answer"] == 0


@pytest.mark.parametrize("tolerance", [-1, float("inf"), "wide"])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(UserError, match="metric numeric_answer: tolerance is "):
        choose_metrics([{"numeric_answer": {"tolerance": tolerance}}])


def test_a_reference_without_a_number_cannot_be_scored():
    assert NumericAnswer().refusal("many") == "has no number"
    assert NumericAnswer().refusal("12 apples") is None
