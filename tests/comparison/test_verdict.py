"""The verdict states the results of the tests in words, and no more than these."""

from __future__ import annotations

from typing import Any

import pytest
from small import SCORES, compared, drawn, lines, record

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.verdict import describe_verdict


def words(by_run: dict[str, list[float]], **changes: Any) -> str:
    return "\n".join(describe_verdict(compared(by_run, **changes)))


def test_a_row_significantly_better_than_all_others_is_the_best() -> None:
    verdict = words(drawn({"a": 0.6, "b": 0.4, "c": 0.3}, num_seeds=3))
    assert verdict.startswith("A is the best: F 0.5") or verdict.startswith("A is the best: F 0.6")
    assert "significantly better than every other method (adjusted p ≤ 0.0" in verdict
    assert "Not significantly different" not in verdict and "Cheapest" not in verdict and "seed only" not in verdict


def test_rivals_are_named_with_the_cheapest_and_what_it_takes() -> None:
    values = drawn({"a": 0.5, "b": 0.495, "c": 0.3}, num_seeds=3)
    comparison = compared(values)
    best, rival = ("A", "B") if comparison.best_row == "a" else ("B", "A")
    verdict = "\n".join(describe_verdict(comparison))
    assert f"{best} has the best score: F" in verdict
    assert "significantly better than 1 of 2 other methods (adjusted p < .05)." in verdict
    assert f"Not significantly different: {rival} (−0.0" in verdict and "is the best" not in verdict
    assert "nearly the same" in verdict  # equal parameters, times and memories
    assert "Minimum detectable difference: 0.0" in verdict and "(80 % power)" in verdict
    assert "Detecting the observed one would take about " in verdict


def test_of_several_rivals_each_has_its_own_needs() -> None:
    verdict = words(drawn({"a": 0.5, "b": 0.495, "c": 0.49}, num_seeds=3))
    assert (
        "significantly better than 0 of 2 other methods" in verdict
        and "Detecting the observed ones would take: " in verdict
    )


def test_the_cheapest_of_rows_without_a_significant_difference_is_named_by_cost() -> None:
    values = drawn({"a": 0.5, "b": 0.5})
    costs: dict[str, dict[str, Any]] = {
        "a": {"seconds": {"train": 50.0}, "parameters": {"trainable_params": 9, "total_params": 99}},
        "b": {
            "seconds": {"train": 100.0},
            "parameters": {"trainable_params": 3, "total_params": 99},
            "memory": {"train_peak_allocated_bytes": 3_090_000},  # 3 % more than that of a: nearly the same
        },
    }
    records = {name: record(name[0], scores, **costs[name[0]]) for name, scores in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    verdict = "\n".join(describe_verdict(compare(records, given, expected_runs=[("a", 0), ("b", 0)])))
    assert "B by trainable parameters; A by train time; nearly the same by peak GPU memory." in verdict


def test_with_one_seed_the_verdict_holds_for_it_only() -> None:
    verdict = words(drawn({"a": 0.6, "b": 0.4}))
    assert "for this seed only)" in verdict
    assert "Every trained method has one seed only, so the verdict holds for this seed only" in verdict


def test_two_seeds_are_reported_as_too_few() -> None:
    verdict = words(drawn({"a": 0.6, "b": 0.4}, num_seeds=2))
    assert "2 seeds, too few for 95 % coverage" in verdict and "has only two seeds" in verdict


def test_a_row_that_lacks_seeds_is_named() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    del values["b-seed1"], values["b-seed2"]
    assert "B has one seed only" in words(values)


def test_few_examples_are_reported_as_few() -> None:
    assert "With 12 test examples, intervals and tests hold only" in words(drawn({"a": 0.6, "b": 0.4}, num_examples=12))


def test_rows_with_the_same_scores_are_not_tested_and_have_no_p_value() -> None:
    verdict = words({"a-seed0": [0.1, 0.4], "b-seed0": [0.1, 0.4]})
    assert "Not tested against it: B (the difference is the same on every example)." in verdict
    assert verdict.count("adjusted p") == 1 and "adjusted p < .05" in verdict and "is the best" not in verdict


def test_constant_scores_have_no_interval() -> None:
    verdict = words({"a-seed0": [1.0, 1.0], "b-seed0": [0.0, 0.0]})
    assert (
        "A has the best score: F 1.000 (no interval: every example has the same value), "
        "significantly better than 0 of 1 other methods (adjusted p < .05)." in verdict
    )


def test_where_lower_is_better_the_lowest_is_best() -> None:
    lower = {"f": {**SCORES["f"], "greater_is_better": False}}
    assert words(drawn({"a": 0.6, "b": 0.4}), scores=lower).startswith("B is the best")


def test_nothing_finished_is_nothing_to_compare() -> None:
    comparison = compare({}, {}, expected_runs=[("a", 0)])
    assert describe_verdict(comparison) == ["No finished run has a score yet, so there is nothing to compare."]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"config": {"num_test_samples": 5}}, "Runs differ in num_test_samples: 5 (b-seed0); 9 (a-seed0)."),
        (
            {"provenance": {"versions": {"torch": "2.11"}}},
            "Runs differ in version of torch: 2.11 (b-seed0); 2.13 (a-seed0).",
        ),
    ],
)
def test_runs_that_differ_in_what_they_should_share_are_named(changes: dict[str, Any], sentence: str) -> None:
    values = drawn({"a": 0.6, "b": 0.4})
    shared = {"config": {"num_test_samples": 9}, "provenance": {"versions": {"torch": "2.13"}}}
    records = {
        "b-seed0": record("b", values["b-seed0"], **{**shared, **changes}),
        "a-seed0": record("a", values["a-seed0"], **shared),
    }
    given = {name: lines(scores) for name, scores in values.items()}
    assert sentence in describe_verdict(compare(records, given, expected_runs=[("a", 0), ("b", 0)]))
