"""The cost of tuning is part of a study's plan: trials of each tuned row, once for all of its seeds."""

import pytest

from hf_peft_compare.planning.planner import plan_whole_study
from hf_peft_compare.planning.tuning_costs import plan_tuning

ROWS = ["lora", "full"]


def trial_of(run):
    """Return the seconds of one trial: training and validation."""
    return run.seconds["train"] + run.seconds["validation"]


def test_the_total_is_that_of_all_seeds_and_trials(tiny_study):
    study = tiny_study("seeds=[0, 1, 2]", "tune={budget: 4 trials}")
    plan = plan_whole_study(study, ROWS, device="h200")
    once = {run.row: run for run in plan.runs}
    assert {row: cost.num_trials for row, cost in plan.tuning.items()} == {"lora": 4, "full": 4}
    trials = sum(4 * trial_of(once[row]) for row in ("lora", "full"))
    assert plan.total_seconds == pytest.approx(3 * sum(run.total_seconds for run in once.values()) + trials)
    assert plan.total_flops > 3 * sum(run.total_flops for run in once.values())
    assert "6 runs and 8 tuning trials of 2 rows (" in str(plan)


def test_minutes_are_minutes_whatever_a_trial_takes(tiny_study):
    plan = plan_whole_study(tiny_study("seeds=[0]", "tune={budget: 30 minutes}"), ["lora"], device="h200")
    assert plan.tuning["lora"].seconds == 1800 and plan.tuning["lora"].num_trials is None
    assert "1 run and the tuning of 1 row (30 min)" in str(plan)


def test_a_search_for_rates_costs_one_and_a_half_trainings_of_each_row_without_one(tiny_study):
    methods = {"lead": {}, "lora": {}, "full": {"training": {"learning_rate": 1e-4}}}
    plan = plan_whole_study(tiny_study("seeds=[0, 1, 2]", "tune=auto", methods=methods), device="h200")
    once = {run.row: run for run in plan.runs}
    assert plan.tuning.keys() == {"lora"}
    assert plan.tuning["lora"].seconds == pytest.approx(1.5 * trial_of(once["lora"]))
    runs = 3 * sum(run.total_seconds for run in once.values())
    assert plan.total_seconds == pytest.approx(runs + 1.5 * trial_of(once["lora"]))


def test_without_tuning_only_runs_cost(tiny_study):
    plan = plan_whole_study(tiny_study("seeds=[0]", "tune=null"), ["lora"], device="h200")
    assert plan.tuning == {} and plan.total_seconds == plan.runs[0].total_seconds


def test_a_budget_names_a_row_that_has_no_range_of_its_own(tiny_study):
    named = {"budget": "2 trials", "parameters": {"full": {"training.weight_decay": [0.0, 0.1]}}}
    study = tiny_study(tune=named)
    runs = plan_whole_study(study, ["full"], device="h200").runs
    assert plan_tuning(study, {"full": runs[0]})["full"].num_trials == 2
