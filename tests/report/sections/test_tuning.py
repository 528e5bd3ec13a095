"""The report's section on tuning: every trial, the selected one, their total cost, and best values at the edge."""

from __future__ import annotations

from typing import Any

from synthetic import Study, make_record

from hf_peft_compare.report.blocks import Charts, Table
from hf_peft_compare.report.sections.tuning import render_tuning
from hf_peft_compare.report.writing import gather

RATE = "training.learning_rate"


def trial(rate: float, loss: float | None) -> dict[str, Any]:
    """A trial of thirty seconds."""
    losses = [] if loss is None else [loss]
    return {
        "settings": {RATE: rate},
        "validation_loss": loss,
        "validation_losses": losses,
        "seconds": 30,
        "error": None,
    }


def tuning(**changes: Any) -> dict[str, Any]:
    """Three trials, of which one failed."""
    trials = [trial(2e-4, 3.0), trial(1e-3, 2.5), trial(2e-2, None)]
    space = {RATE: {"low": 2e-5, "high": 2e-2, "log": True}}
    found = {"budget": "3 trials", "space": space, "widened": None, "best_settings": {RATE: 1e-3}, "at_edge": False}
    return {**found, "seconds": 90.0, "trials": trials, **changes}


def blocks(**records: Any) -> list[Any]:
    """The section of some rows."""
    made = {row: make_record(row, tuning=found) for row, found in records.items()}
    study = Study(methods={row: {} for row in made})
    return list(render_tuning(gather(study, {one.run: one for one in made.values()}, {})))  # type: ignore[arg-type]


def table(**records: Any) -> Table:
    """Its table."""
    return next(block for block in blocks(**records) if isinstance(block, Table))


def test_every_tuned_row_says_what_it_took_and_what_was_chosen() -> None:
    found = table(lora=tuning())
    texts = dict(zip([c.title for c in found.columns], [c.text for c in found.rows[0]], strict=True))
    assert (texts["Trials"], texts["Failed"], texts["Tuning (s)"]) == ("3", "1", "90")
    assert (texts["Best validation loss"], texts["Selected"]) == ("2.500", "learning_rate 0.001")
    assert texts["Range"] == "0.00002 to 0.02"


def test_a_winner_at_the_edge_is_said_aloud() -> None:
    found = table(full=tuning(at_edge=True, widened={"low": 2e-2, "high": 2e-1}), lora=tuning())
    assert "widened by 0.02 to 0.2; the best lies at the edge" in found.rows[0][-1].text
    assert any("At the edge of its range: Full fine-tuning." in note for note in found.notes)


def test_the_curve_is_drawn_and_failed_trials_have_no_point() -> None:
    (charts,) = (block for block in blocks(lora=tuning()) if isinstance(block, Charts))
    points = charts.charts[0].spec["data"]["values"]
    assert [(point["rate"], point["loss"], point["chosen"]) for point in points] == [
        (2e-4, 3.0, False),
        (1e-3, 2.5, True),
    ]


def test_trials_of_different_lengths_are_not_connected_and_the_ring_is_around_the_best_of_the_longest() -> None:
    trials = [{**trial(2e-4, 1.0), "steps": 10}, {**trial(1e-3, 2.5), "steps": 40}, {**trial(2e-3, 2.4), "steps": 40}]
    found = blocks(lora=tuning(trials=trials))
    (charts,) = (block for block in found if isinstance(block, Charts))
    spec = charts.charts[0].spec
    assert spec["layer"][0]["encoding"]["detail"] == {"field": "steps"}
    assert [point["rate"] for point in spec["data"]["values"] if point["chosen"]] == [2e-3]
    assert "Trials are shorter than a run" in found[0].text
    assert table(lora=tuning(trials=trials)).rows[0][5].text == "2.400"


def test_trials_proposed_at_a_time_are_named() -> None:
    assert "at a time" not in blocks(lora=tuning())[0].text
    found = blocks(lora=tuning(parallel_trials=4), full=tuning(parallel_trials=4))
    assert "a budget of 3 trials, 4 proposed at a time, over its own ranges" in found[0].text


def test_budgets_of_rows_that_differ_are_all_named() -> None:
    found = blocks(lora=tuning(), full=tuning(budget="1.5 × one training"), last_layers=tuning())
    assert "tuned with a budget of 3 trials or 1.5 × one training, over its own ranges" in found[0].text


def test_without_tuning_there_is_no_section() -> None:
    assert blocks(lora=None) == []


def test_tuning_is_part_of_what_a_row_costs() -> None:
    from hf_peft_compare.comparison.columns import cost_columns

    made = {"lora": make_record("lora", tuning=tuning()), "lead": make_record("lead")}
    comparison = gather(Study(methods=dict.fromkeys(made, {})), {r.run: r for r in made.values()}, {}).comparison  # type: ignore[arg-type]
    figures = {row.row: row.figures for row in comparison.rows}
    assert figures["lora"]["tuned_train_seconds"] == figures["lora"]["train_seconds"] + 90
    assert "tuned_train_seconds" not in figures["lead"]
    assert "Time with tuning (s)" in [column.title for column in cost_columns(comparison)]
