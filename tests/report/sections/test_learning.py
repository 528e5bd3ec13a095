"""Losses of training are shown with the units of all heads that were trained."""

from __future__ import annotations

from dataclasses import replace

from synthetic import Study, make_study_runs

from hf_peft_compare.report.blocks import Table
from hf_peft_compare.report.sections.learning import render_learning
from hf_peft_compare.report.writing import gather


def test_losses_of_two_heads_have_two_units() -> None:
    records, predictions = make_study_runs(rows=("lora", "last_layers", "full"))
    scores = records["full-seed0"].scores
    per_class = {**scores, "test_loss": replace(scores["test_loss"], unit="nats per example")}
    records["full-seed0"] = replace(records["full-seed0"], scores=per_class)
    study = Study(methods={"lora": {}, "last_layers": {}, "full": {}})
    (table,) = (b for b in render_learning(gather(study, records, predictions)) if isinstance(b, Table))  # type: ignore[arg-type]
    assert "losses in nats per token or nats per example" in table.caption
