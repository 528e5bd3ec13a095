"""Intervals over examples, and why there is none."""

from __future__ import annotations

import pytest
from small import compared, record

from hf_peft_compare.comparison import compare


@pytest.mark.parametrize(
    ("values", "reason"), [([0.5], "fewer than 2"), ([0.5, 0.5], "same value"), ([0.5, float("nan")], "not a finite")]
)
def test_no_interval_if_the_examples_do_not_determine_one(values: list[float], reason: str) -> None:
    interval = compared({"a-seed0": values}).rows[0].intervals["f"]
    assert not interval.known and reason in str(interval.reason)


def test_the_loss_has_an_interval_around_nats_over_tokens() -> None:
    row = compared({"a-seed0": [0.1, 0.2, 0.3]}).rows[0]
    interval = row.intervals["test_loss"]
    assert interval.low is not None and interval.high is not None
    assert (interval.low + interval.high) / 2 == pytest.approx((4 + 5 + 6) / (2 + 3 + 4))


def test_without_predictions_there_are_means_but_no_intervals() -> None:
    row = compare({"a-seed0": record("a", [0.1, 0.2])}, {}, expected_runs=[("a", 0)]).rows[0]
    assert row.figures["f"] == pytest.approx(0.15)
    assert not row.intervals["f"].known
