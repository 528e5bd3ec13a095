"""The section on inference cost and forgetting: measured costs, in readable units."""

from synthetic import Study, make_predictions, make_record

from hf_peft_compare.report.sections.costs import render_costs
from hf_peft_compare.report.writing import gather

LORA = {
    "checkpoint_bytes": 2_500_000,
    "latency_1_seconds": 0.0514,
    "latency_32_seconds": 0.4,
    "merged_latency_1_seconds": 0.0325,
    "merged_latency_32_seconds": 0.25,
    "unmerged_loss": 1.5,
    "merged_loss": 1.5,
    "outside_loss": 4.25,
    "untouched_outside_loss": 4.0,
    "costs_seconds": 3.0,
    "notes": ["something"],
}
PROMPT = {"checkpoint_bytes": 10_000, "latency_1_seconds": 0.04, "latency_32_seconds": 0.32, "notes": []}


def rendered(costs):
    records = {f"{row}-seed0": make_record(row, costs=measured) for row, measured in costs.items()}
    predictions = {run: make_predictions(run.removesuffix("-seed0")) for run in records}
    return render_costs(gather(Study(methods={row: {} for row in costs}), records, predictions))


def test_every_cost_that_was_measured_is_shown():
    (table,) = rendered({"lora": LORA, "prompt_tuning": PROMPT})
    titles = [column.title for column in table.columns[1:]]
    lines = [dict(zip(titles, [cell.text for cell in row[1:]], strict=True)) for row in table.rows]
    assert list(lines[0].values()) == ["2.5", "51.4", "400", "80", "32.5", "250", "0.000", "+0.250"]
    assert list(lines[1].values()) == ["0.01", "40", "320", "100", "–", "–", "–", "–"]
    assert titles[0] == "Checkpoint (MB)"
    assert titles[-1] == "Forgetting (nats per token)"


def test_a_column_that_no_row_has_is_not_shown():
    (table,) = rendered({"prompt_tuning": PROMPT})
    assert [column.title for column in table.columns[1:]] == [
        "Checkpoint (MB)",
        "Latency (ms)",
        "Latency of 32 (ms)",
        "Examples/s, batch of 32",
    ]


def test_records_from_before_have_no_such_section():
    assert rendered({"lora": {}}) == []


def test_the_change_in_a_task_of_lm_eval_is_a_column_with_its_interval():
    answers = {"arc_easy": {"tuned": "1100110010001000", "untouched": "1100110011001100"}}
    (table,) = rendered({"lora": LORA | {"answers": answers}, "prompt_tuning": PROMPT})
    assert table.columns[-1].title == "Change in arc_easy"
    changed, unknown = (row[-1] for row in table.rows)
    assert changed.text == "−0.125" and changed.details[0].startswith("−0.3") and unknown.text == "–"
    assert "Shares of the untouched base: 0.500 in arc_easy." in table.notes[-1]
