"""Who is on the front of quality against cost, and in what share of resamples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import compared, drawn, lines, record

from hf_peft_compare.comparison import Comparison, compare
from hf_peft_compare.comparison.pareto import Front, draw_multipliers, find_front, pareto_fronts


def study(means: dict[str, float], seconds: dict[str, float], *, trainable: int = 10, **sizes: Any) -> Comparison:
    values = drawn(means, **sizes)
    records = {
        name: record(name[0], scores, seed=int(name[-1]), seconds={"train": seconds[name[0]]}, trainable=trainable)
        for name, scores in values.items()
    }
    given = {name: lines(scores) for name, scores in values.items()}
    return compare(records, given, expected_runs=[(found.row, found.seed) for found in records.values()])


def front_of(comparison: Comparison, key: str = "train_seconds") -> Front:
    return next(front for front in pareto_fronts(comparison) if front.cost.key == key)


def test_the_front_is_who_nobody_beats_in_both() -> None:
    quality, cost = np.array([0.9, 0.8, 0.7, 0.8]), np.array([3.0, 1.0, 2.0, 1.5])
    assert find_front(quality, cost).tolist() == [True, True, False, False]
    assert find_front(np.ones(2), np.ones(2)).tolist() == [True, True]  # equals do not beat each other


def test_clear_differences_are_sure() -> None:
    front = front_of(study({"a": 0.9, "b": 0.5, "c": 0.3}, {"a": 9, "b": 1, "c": 5}))
    assert front.members == {"a", "b"} and front.shares == {"a": 1.0, "b": 1.0, "c": 0.0}


def test_a_dearer_row_of_equal_quality_is_on_the_front_half_of_the_time() -> None:
    values = drawn({"a": 0.5, "b": 0.5}, num_examples=400)
    shift = np.mean(values["a-seed0"]) - np.mean(values["b-seed0"])
    values["b-seed0"] = [value + shift for value in values["b-seed0"]]
    records = {name: record(name[0], v, seconds={"train": 1.0 + (name[0] == "b")}) for name, v in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    front = front_of(compare(records, given, expected_runs=[("a", 0), ("b", 0)]))
    assert front.shares["a"] == 1.0 and front.shares["b"] == pytest.approx(0.5, abs=0.05)


def test_seeds_that_vary_make_the_front_unsure() -> None:
    seconds = {"a": 1.0, "b": 2.0}
    steady = front_of(study({"a": 0.45, "b": 0.4}, seconds, num_seeds=3, num_examples=1000))
    shaky = front_of(study({"a": 0.4, "b": 0.45}, seconds, num_seeds=3, num_examples=1000, seed_spread=0.1))
    assert steady.shares["b"] == 0.0 and 0.1 < shaky.shares["b"] < 0.9


@pytest.mark.parametrize("number", [2, 3, 10, 200])
def test_a_resampled_mean_varies_as_the_mean_of_so_many_draws(number: int) -> None:
    values = np.random.default_rng(1).normal(size=number)
    multipliers = draw_multipliers(number, 20_000, np.random.default_rng(0))
    deviations = multipliers @ (values - values.mean())
    assert np.var(deviations) == pytest.approx(values.var(ddof=1) / number, rel=0.05)


def test_latency_has_no_front() -> None:
    values = drawn({"a": 0.5, "b": 0.4})
    costs = {"checkpoint_bytes": 5, "latency_1_seconds": 0.1}
    records = {name: record(name[0], scores, costs=costs) for name, scores in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    keys = {front.cost.key for front in pareto_fronts(compare(records, given, expected_runs=[("a", 0), ("b", 0)]))}
    assert "checkpoint_bytes" in keys and "latency_1_seconds" not in keys


def test_floors_cost_nothing_where_they_have_no_figure() -> None:
    values = drawn({"a": 0.5, "z": 0.3})
    records = {
        "a-seed0": record("a", values["a-seed0"]),
        "z-seed0": record("z", values["z-seed0"], parameters=None, seconds={"train": 0.0}, memory={}),
    }
    given = {name: lines(scores) for name, scores in values.items()}
    for front in pareto_fronts(compare(records, given, expected_runs=[("a", 0), ("z", 0)])):
        assert front.shares == {"a": 1.0, "z": 1.0}


def test_the_same_records_give_the_same_shares() -> None:
    comparison = study({"a": 0.5, "b": 0.49}, {"a": 1.0, "b": 2.0})
    assert front_of(comparison) == front_of(comparison)


def test_one_row_or_other_test_data_has_no_front() -> None:
    assert pareto_fronts(compared(drawn({"a": 0.5}))) == []
    values = drawn({"a": 0.5, "b": 0.4})
    records = {name: record(name[0], v, provenance={"data_fingerprint": {"test": name}}) for name, v in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    assert pareto_fronts(compare(records, given, expected_runs=[("a", 0), ("b", 0)])) == []


def test_a_diverged_row_is_on_no_front() -> None:
    values = drawn({"a": 0.5, "b": 0.4, "c": 0.3})
    values["c-seed0"][3] = float("nan")
    assert set(front_of(compared(values)).shares) == {"a", "b"}
