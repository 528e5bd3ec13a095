"""The learning section: losses with the units of the heads that were trained."""

from __future__ import annotations

from typing import Any

from synthetic import Study, about_score, make_predictions, make_record

from hf_peft_compare.report.sections.learning import render_learning
from hf_peft_compare.report.writing import gather, key_facts

PER_CLASS = {"test_loss": {**about_score("test_loss"), "unit": "nats per example"}}


def gathered(*rows: str) -> Any:
    """Return a study of a zero-shot row, and of rows of which only the full model has a class head."""
    changes = {"full": {"scores": {**make_record("full").scores, **PER_CLASS}}}
    records = {f"{row}-seed0": make_record(row, **changes.get(row, {})) for row in ("zero_shot", *rows)}
    study = Study(methods={row: {} for row in ("zero_shot", *rows)})
    return gather(study, records, {run: make_predictions(run.removesuffix("-seed0")) for run in records})


def test_a_class_head_has_its_own_unit_beside_rows_that_write() -> None:
    material = gathered("full")
    charts, table = render_learning(material)
    assert "Loss in nats per example." in charts.caption and "losses in nats per example." in table.caption
    assert dict(key_facts(material))["Loss"] == "cross-entropy over the classes (nats per example)"


def test_rows_with_different_heads_have_both_units() -> None:
    _, table = render_learning(gathered("lora", "full"))
    assert "losses in nats per token or nats per example." in table.caption
