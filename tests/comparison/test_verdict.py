"""The verdict states the results of the tests in words, and no more than these."""

from __future__ import annotations

import re
from typing import Any

import pytest
from small import SCORES, compared, drawn, lines, record

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.intervals import Interval
from hf_peft_compare.comparison.verdict import describe_verdict, format_level


def words(by_run: dict[str, list[float]], **changes: Any) -> str:
    return "\n".join(describe_verdict(compared(by_run, **changes)))


def test_one_row_that_beats_all_others_is_the_best_method() -> None:
    verdict = words(drawn({"a": 0.6, "b": 0.4, "c": 0.3}, num_seeds=3))
    assert verdict.startswith("With 95 % confidence, the best method is A: F 0.5")
    assert "Behind A: B (−0.19" in verdict and "adjusted p <0.001" in verdict and "Cheapest" not in verdict
    assert "Intervals hold for these settings, this train split" in verdict


def test_the_set_of_rows_that_may_be_the_best_leads_and_the_winners_curse_is_said() -> None:
    comparison = compared(drawn({"a": 0.5, "b": 0.495, "c": 0.3}, num_seeds=3))
    verdict = describe_verdict(comparison)
    best, rival = ("A", "B") if comparison.best_row == "a" else ("B", "A")
    assert comparison.best_set == (best.lower(), rival.lower())
    assert verdict[0].startswith(
        f"With 95 % confidence, the best method is one of these, and which of the two is not known: {best} (0.4"
    )
    assert "98.3 % interval" in verdict[0] and "the highest of several means is likely too high" in verdict[0]
    assert f"Behind {best}: C (−0.19" in verdict[1]


def test_a_row_outside_of_the_set_that_no_test_of_all_pairs_tells_from_the_best_is_not_called_behind_it() -> None:
    none, some = [0.0] * 7, [[1.0, 0, 1, 0, 1, 1, 0], [1.0, 1, 0, 0, 0, 1, 1]]
    answers = {"a": [1.0, 1, 1, 1, 1, 0, 0], "b": none, "c": some[0], "d": none, "e": some[1]}
    verdict = words({f"{row}-seed0": scores for row, scores in answers.items()})
    assert "Outside of the set, though not told from A in the tests of all pairs: B (−0.714" in verdict
    assert "Behind" not in verdict


def test_a_study_that_is_too_small_says_what_it_takes_for_the_difference_that_matters() -> None:
    values = drawn({"a": 0.5, "b": 0.49}, num_seeds=3, num_examples=60)
    small, large = (
        words(values, smallest_difference=0.025),
        "\n".join(describe_verdict(compared(values, smallest_difference=0.3))),
    )
    assert "for the smallest that matters, 0.025, this study is too small: it takes about " in small
    assert "which is enough for the smallest that matters, 0.3." in large


def test_where_only_impossible_differences_would_be_found_the_rows_are_named() -> None:
    values = {f"{row}-seed{seed}": [1.0] * n + [0.0] * (60 - n) for row, seed, n in (("a", 0, 59), ("a", 1, 20))}
    values |= {f"b-seed{seed}": [1.0] * 30 + [0.0] * 30 for seed in (0, 1)}
    assert "No difference from A would be found for B (power .8)" in words(values)


def test_the_cheapest_of_the_set_is_named_by_cost_with_what_it_may_cost() -> None:
    values = drawn({"a": 0.5, "b": 0.5})
    costs: dict[str, dict[str, Any]] = {
        "a": {"seconds": {"train": 50.0}, "parameters": {"trainable_params": 3, "total_params": 99}},
        "b": {
            "seconds": {"train": 100.0},
            "parameters": {"trainable_params": 9, "total_params": 99},
            "memory": {"train_peak_allocated_bytes": 3_090_000},  # 3 % more than that of a: nearly the same
        },
    }
    records = {name: record(name[0], scores, **costs[name[0]]) for name, scores in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    comparison = compare(records, given, expected_runs=[("a", 0), ("b", 0)])
    verdict = "\n".join(describe_verdict(comparison))
    assert "A by trainable parameters and train time; nearly the same by peak GPU memory." in verdict
    if comparison.best_row == "b":
        low = comparison.pair("a", "b").interval.low  # type: ignore[union-attr]
        assert f"A trains 33 % as many parameters as B and is at most {-low:.3f} worse (95 %)." in verdict  # type: ignore[operator]


def test_of_rows_with_as_many_parameters_one_is_cheaper_by_time() -> None:
    values = drawn({"a": 0.5, "b": 0.5})
    best = str(compared(values).best_row)
    seconds = {row: {"train": 100.0 if row == best else 50.0} for row in "ab"}
    records = {name: record(name[0], scores, seconds=seconds[name[0]]) for name, scores in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    verdict = " ".join(describe_verdict(compare(records, given, expected_runs=[("a", 0), ("b", 0)])))
    assert f"trains as many parameters as {best.upper()} in less time and is at most" in verdict


def test_several_cheapest_rows_are_an_enumeration() -> None:
    sizes = {"a": 3, "b": 3, "c": 3, "d": 9}
    values = drawn(dict.fromkeys(sizes, 0.5))
    records = {name: record(name[0], scores, trainable=sizes[name[0]]) for name, scores in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    verdict = describe_verdict(compare(records, given, expected_runs=[(row, 0) for row in sizes]))
    (cheapest,) = (sentence for sentence in verdict if sentence.startswith("Cheapest"))
    assert re.match("Cheapest of these: [A-C], [A-C] and [A-C] by trainable parameters;", cheapest)


@pytest.mark.parametrize(("level", "written"), [(0.95, "95 %"), (0.9952, "99.5 %"), (0.99965, "99.96 %")])
def test_no_level_is_rounded_up_to_certainty(level: float, written: str) -> None:
    assert format_level(Interval(num_examples=9, scope="", low=0.0, high=1.0, level=level)) == written


def test_with_one_seed_the_verdict_speaks_of_these_runs() -> None:
    verdict = words(drawn({"a": 0.6, "b": 0.4}))
    assert verdict.startswith("In these runs, with 95 % confidence, the best row is A")
    assert "for this seed only)" in verdict and "another seed may rank the methods differently" in verdict
    assert "method is A" not in verdict


def test_untuned_rows_are_said_first_and_no_row_is_the_best_as_a_method() -> None:
    config = {"training": {"learning_rate": 2e-4}}
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    verdict = words(values, config=config, config_origins={"training.learning_rate": "method"})
    assert verdict.startswith("Untuned: A (0.0002), B (0.0002) ran at default learning rates")
    assert "the best row is A" in verdict and "the best method" not in verdict
    chosen = words(values, config=config, config_origins={"training.learning_rate": "study method"})
    assert "Untuned" not in chosen and "the best method is A" in chosen


def test_two_seeds_are_reported_as_too_few() -> None:
    verdict = words(drawn({"a": 0.6, "b": 0.4}, num_seeds=2))
    assert "2 seeds, too few for 95 % coverage" in verdict and "has only two seeds" in verdict


def test_rows_with_the_same_answers_are_rivals_and_the_cheaper_one_is_taken() -> None:
    values = {"a-seed0": [1.0] * 50, "b-seed0": [1.0] * 50}
    sizes = {"a": 1000, "b": 10}
    records = {name: record(name[0], scores, trainable=sizes[name[0]]) for name, scores in values.items()}
    given = {name: lines(scores) for name, scores in values.items()}
    comparison = compare(records, given, expected_runs=[("a", 0), ("b", 0)])
    assert comparison.best_row == "b" and comparison.best_set == ("b", "a")
    verdict = describe_verdict(comparison)
    assert "F 1.000 (97.5 % interval 0.916 to 1.000" in verdict[0] and "Not tested" not in "\n".join(verdict)
    assert "Cheapest of these: B by trainable parameters" in "\n".join(verdict)


def test_where_lower_is_better_the_lowest_is_best() -> None:
    lower = {"f": {**SCORES["f"], "greater_is_better": False}}
    assert "the best row is B" in words(drawn({"a": 0.6, "b": 0.4}), scores=lower)


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


def test_no_row_is_the_best_with_confidence_where_no_other_can_be_tested_against_it() -> None:
    values = drawn({"a": 0.6, "b": 0.4}, num_seeds=3)
    runs = [(row, seed) for row in "ab" for seed in range(3)]
    apart = {
        run: record(run[0], scores, seed=int(run[-1]), provenance={"data_fingerprint": {"test": run[0]}})
        for run, scores in values.items()
    }
    verdict = describe_verdict(compare(apart, {run: lines(v) for run, v in values.items()}, expected_runs=runs))
    assert verdict[0].startswith("A has F 0.594 (95 % interval")
    assert verdict[0].endswith("; no other method can be tested against it.")
    assert verdict[1] == "Not tested against it: B (scored on different test data)."
    assert "confidence" not in "".join(describe_verdict(compare(apart, {}, expected_runs=runs)))


def test_a_row_that_diverged_or_lacks_the_score_is_said_not_to_be_tested() -> None:
    values = drawn({"a": 0.6, "b": 0.4, "c": 0.3, "d": 0.3}, num_seeds=3)
    values["c-seed1"][0] = float("nan")
    records = {run: record(run[0], scores, seed=int(run[-1])) for run, scores in values.items()}
    records["d-seed2"] = record("d", [0.3], seed=2, results={"test_loss": 2.0})
    runs = [(found.row, found.seed) for found in records.values()]
    verdict = describe_verdict(compare(records, {run: lines(v) for run, v in values.items()}, expected_runs=runs))
    assert verdict[0].startswith("With 95 % confidence, the best method of those tested is A: F 0.")
    assert "Not tested against it: C (not a finite number for every example)." in verdict
    assert "Not tested against it: D (not every seed has F)." in verdict
