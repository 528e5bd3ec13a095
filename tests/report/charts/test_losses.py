"""Loss curves are thinned where a screen could not show them; validation is whole."""

from __future__ import annotations

from synthetic import Study, make_record, make_study_runs

from hf_peft_compare.report.charts.losses import MOST_POINTS, loss_chart
from hf_peft_compare.report.writing import gather


def test_a_long_training_curve_is_thinned_and_validation_is_whole() -> None:
    history = [{"step": step, "epoch": step / 1000, "loss": 1 / step} for step in range(1, 5001)]
    validation = [{"step": step, "epoch": step / 1000, "eval_loss": 2.0} for step in range(500, 5001, 500)]
    records, predictions = make_study_runs(rows=("lora",))
    records["lora-seed0"] = make_record("lora", history=[*history, *validation, {"epoch": 9.0, "loss": float("nan")}])
    material = gather(Study(), records, predictions)  # type: ignore[arg-type]
    live = loss_chart(material, material.comparison.finished_rows, unit="nats per token", description="")
    points = live.spec["data"]["values"]
    assert sum(point["validation"] for point in points) == 10
    assert 100 < sum(not point["validation"] for point in points) <= MOST_POINTS
