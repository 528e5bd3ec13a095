"""Losses in several units are several scores."""

from __future__ import annotations

from typing import Any

from small import record

from hf_peft_compare.comparison.loss_units import by_unit

LOSS: dict[str, Any] = {"test_loss": {"title": "Test loss", "unit": "nats per token", "greater_is_better": False}}
PER_CLASS: dict[str, Any] = {"test_loss": {**LOSS["test_loss"], "unit": "nats per class"}}


def test_losses_of_one_unit_keep_their_name() -> None:
    records = {name: record(name, [0.1, 0.2], scores=LOSS) for name in "ab"}
    assert by_unit(records) == records


def test_the_most_frequent_unit_keeps_the_plain_name() -> None:
    records = {name: record(name, [0.1, 0.2], scores=PER_CLASS if name == "c" else LOSS) for name in "abc"}
    named = by_unit(records)
    assert "test_loss" in named["a"].results and "test_loss in nats per class" in named["c"].results
    assert named["c"].scores["test_loss in nats per class"].title == "Test loss (nats per class)"
