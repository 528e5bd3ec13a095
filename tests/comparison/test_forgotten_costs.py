"""Checkpoint and latency as costs: on fronts, in budgets, and where the verdict leaves them out."""

from __future__ import annotations

from typing import Any

from small import drawn, lines, record

from hf_peft_compare.cli.main import main
from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.pareto import pareto_fronts
from hf_peft_compare.comparison.recommendation import Budget, choose
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.records.record import write_record
from hf_peft_compare.records.run_folder import write_predictions

MEANS = {"full": 0.6, "lora": 0.5, "prompt_tuning": 0.3}
COSTS = {
    "full": {"checkpoint_bytes": 500_000_000, "latency_1_seconds": 0.010},
    "lora": {"checkpoint_bytes": 20_000_000, "latency_1_seconds": 0.014},
    "prompt_tuning": {"checkpoint_bytes": 10_000, "latency_1_seconds": 0.011},
}


def study(costs: dict[str, dict[str, Any]] = COSTS, means: dict[str, float] = MEANS) -> Comparison:
    values = drawn(means)
    rows = {name: name.removesuffix("-seed0") for name in values}
    records = {name: record(row, values[name], costs=costs.get(row, {})) for name, row in rows.items()}
    predictions = {name: lines(scores) for name, scores in values.items()}
    return compare(records, predictions, expected_runs=[(row, 0) for row in means])


def chosen(comparison: Comparison, **limits: Any) -> str | None:
    choice = choose(comparison, Budget(**limits))
    return choice.row.row if choice.row else None


def test_the_best_row_whose_files_or_latency_fit_is_chosen() -> None:
    assert chosen(study()) == "full"
    assert chosen(study(), max_checkpoint_bytes=100e6) == "lora"
    assert chosen(study(), max_checkpoint_bytes=20e6 - 1) == "prompt_tuning"
    assert chosen(study(), max_latency_seconds=0.0105) == "full"
    assert chosen(study(), max_checkpoint_bytes=100e6, max_latency_seconds=0.012) == "prompt_tuning"


def test_a_row_whose_costs_were_not_measured_does_not_fit() -> None:
    choice = choose(study({"full": COSTS["full"]}), Budget(max_checkpoint_bytes=1e6, max_latency_seconds=1))
    assert choice.row is None
    assert choice.missed["lora"] == ["its checkpoint is unknown", "its latency is unknown"]
    assert "its checkpoint is 500 MB" in choice.missed["full"][0]


def test_each_has_a_front_of_its_own() -> None:
    fronts = {front.cost.key: front.members for front in pareto_fronts(study())}
    assert fronts["checkpoint_bytes"] == {"full", "lora", "prompt_tuning"}
    assert "latency_1_seconds" not in fronts  # the median of a few calls ranks nothing
    assert not {"checkpoint_bytes"} & {front.cost.key for front in pareto_fronts(study({}))}


def test_a_verdict_names_the_smallest_checkpoint_and_no_fastest_row() -> None:
    verdict = " ".join(describe_verdict(study(means=dict.fromkeys(MEANS, 0.5))))
    assert "checkpoint" in verdict
    assert "latency" not in verdict


def test_the_command_takes_both_limits(tmp_path: Any, capsys: Any) -> None:
    for name, values in drawn(MEANS).items():
        row = name.removesuffix("-seed0")
        write_record(record(row, values, costs={**COSTS[row], "notes": []}), tmp_path / name)
        write_predictions(lines(values), tmp_path / name)
    assert main(["choose", str(tmp_path), "--max-checkpoint", "100MB", "--max-latency", "0.012"]) == 0
    assert "Recommended: PROMPT_TUNING" in capsys.readouterr().out
    assert main(["choose", str(tmp_path), "--max-latency", "0.001"]) == 1
    assert "its latency is 10 ms" in capsys.readouterr().out
