"""The chart of differences holds the pairs' numbers, in both directions."""

from __future__ import annotations

from synthetic import Study, make_study_runs

from hf_peft_compare.report.charts.differences import difference_chart
from hf_peft_compare.report.writing import gather


def test_differences_are_there_in_both_directions() -> None:
    material = gather(Study(), *make_study_runs())  # type: ignore[arg-type]
    values = difference_chart(material, description="").spec["data"]["values"]
    found = {(value["row"], value["other"]): value for value in values}
    there, back = found["LoRA", "Lead-3"], found["Lead-3", "LoRA"]
    assert (there["mean"], there["low"], there["high"]) == (-back["mean"], -back["high"], -back["low"])
    pair = material.comparison.pair("lora", "lead")
    assert pair is not None and there["mean"] == pair.mean and there["significant"] is pair.significant
