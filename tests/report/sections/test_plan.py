"""The report shows every plan beside the measured values, with its error."""

from __future__ import annotations

from typing import Any

from synthetic import Study, make_record, make_study_runs

from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report import write_report
from hf_peft_compare.report.blocks import Table
from hf_peft_compare.report.sections.plan import render_plan
from hf_peft_compare.report.writing import gather

IDENTITY = {"study": "s", "row": "lora", "seed": 0, "method": "lora", "title": "LoRA", "precision": "bf16"}
MEMORY = dict.fromkeys(
    ("peak_bytes", "evaluation_peak_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes"), 1
)
PLAN: dict[str, Any] = {
    **IDENTITY,
    "trainable_params": 4_718_592,
    "num_train_steps": 100,
    "num_train_tokens": 400_000,
    "flops": {"train": 1.1e12},
    "seconds": {"train": 450.0, "trunk": 20.0},
    "memory": {
        **MEMORY,
        "train_peak_bytes": 5_500_000_000,
        "weights_bytes": 516_633_600,
        "at_train_peak": {},
        "available_bytes": 10**11,
        "fits": True,
    },
    "device": "NVIDIA H200",
    "time_basis": "datasheet rate × assumed utilization",
    "lengths_basis": "counted in 3,000 examples of the data",
}


def record(row: str = "lora", **changes: Any) -> RunRecord:
    """A finished run that was planned: 1 TFLOP, 500 s and 5 GB measured."""
    measured = {
        "plan": PLAN,
        "seconds": {"train": 500.0},
        "memory": {"train_peak_allocated_bytes": 5_000_000_000, "weights_bytes": 516_633_600},
        "throughput": {"num_train_tokens": 400_000, "train_flops": 1e12},
    }
    return make_record(row, **{**measured, **changes})


def table(*records: RunRecord) -> Table | None:
    """The section's table of some runs."""
    study = Study(methods={one.row: {} for one in records})
    blocks = render_plan(gather(study, {one.run: one for one in records}, {}))  # type: ignore[arg-type]
    return blocks[0] if blocks else None  # type: ignore[return-value]


def cells(table: Table, row: int = 0) -> dict[str, list[str]]:
    """Planned, measured and error of one run, by title."""
    return {
        column.title: [cell.text, *cell.details] for column, cell in zip(table.columns, table.rows[row], strict=True)
    }


def test_every_estimate_stands_above_what_was_measured_and_its_error() -> None:
    found = cells(table(record()))
    assert found["Trainable parameters"] == ["4,718,592", "4,718,592", "exact"]
    assert found["Training GFLOP"] == ["1,100", "1,000", "+10.0 %"]
    assert found["Training (s)"] == ["450", "500", "−10.0 %"]
    assert found["Peak GPU memory (MB)"] == ["5,500", "5,000", "+10.0 %"]
    assert found["Weights (MB)"] == ["517", "517", "exact"]


def test_without_a_gpu_there_is_no_peak_but_the_tensors_held() -> None:
    found = cells(table(record(memory={"weights_bytes": 516_633_600})))
    assert "Peak GPU memory (MB)" not in found and found["Weights (MB)"][-1] == "exact"


def test_a_run_that_stopped_early_is_held_to_the_steps_that_it_did() -> None:
    found = cells(
        table(record(throughput={"num_train_tokens": 200_000, "train_flops": 1e12}, seconds={"train": 225.0}))
    )
    assert found["Tokens"] == ["400,000", "200,000", "+100.0 %"]
    assert found["Training (s)"] == ["225", "225", "exact"]
    assert found["Training GFLOP"] == ["550", "1,000", "−45.0 %"]


def test_the_trunk_counts_where_it_was_computed() -> None:
    kept = {"num_bytes": 1, "seconds": 20.0, "filled_by": ["lora-seed0"]}
    assert cells(table(record(trunk_cache=kept)))["Training (s)"][0] == "470"
    assert cells(table(record(trunk_cache={**kept, "filled_by": ["full-seed0"]})))["Training (s)"][0] == "450"


def test_what_was_not_planned_not_trained_or_not_finished_is_left_out() -> None:
    assert table(make_record("lora")) is None
    assert table(record("zero_shot", plan={**PLAN, "num_train_steps": 0})) is None
    assert table(record(status="failed", error="x")) is None
    assert len(table(record(), record("full", plan=None)).rows) == 1


def test_what_the_plan_does_not_know_is_a_dash() -> None:
    found = cells(table(record(plan={**PLAN, "memory": None, "seconds": {"train": None, "trunk": None}})))
    assert found["Peak GPU memory (MB)"] == ["–", "5,000", "–"]
    assert found["Training (s)"] == ["–", "500", "–"]


def test_every_page_has_the_table(tmp_path: Any) -> None:
    records, predictions = make_study_runs(rows=("lead", "lora"))
    records["lora-seed0"] = record()
    folder = write_report(Study(methods={"lead": {}, "lora": {}}), records, predictions, tmp_path).parent  # type: ignore[arg-type]
    for page in ("index.html", "README.md", "report.tex"):
        text = (folder / page).read_text(encoding="utf-8")
        assert "Plan against measured" in text and "datasheet rate" in text
