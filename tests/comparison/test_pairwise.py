"""All pairs of rows: pairing, tests, adjustment, and cases without a result."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from small import SCORES, compared, drawn, lines, record

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.pairwise import adjust_by_holm


def test_a_difference_is_over_shared_examples_only() -> None:
    records = {"a-seed0": record("a", [0.1, 0.2, 0.9]), "b-seed0": record("b", [0.5, 0.3])}
    predictions = {"a-seed0": lines([0.1, 0.2, 0.9]), "b-seed0": lines([0.5, 0.3])}
    pair = compare(records, predictions, expected_runs=[("a", 0), ("b", 0)]).pair("a", "b")
    assert pair is not None and pair.interval.num_examples == 2
    assert pair.mean == pytest.approx(-0.25)  # (.1 - .5 + .2 - .3) / 2


def test_examples_are_paired_by_id_whatever_their_order() -> None:
    values = drawn({"a": 0.5, "b": 0.4})
    records = {name: record(name[0], scores) for name, scores in values.items()}
    ordered = {name: lines(scores) for name, scores in values.items()}
    shuffled = {**ordered, "b-seed0": ordered["b-seed0"][::-1]}
    runs = [("a", 0), ("b", 0)]
    found = [compare(records, given, expected_runs=runs).pairs[0].p_value for given in (ordered, shuffled)]
    assert found[0] == pytest.approx(found[1]) and found[0] == pytest.approx(
        stats.ttest_rel(values["a-seed0"], values["b-seed0"]).pvalue
    )


def test_a_pair_reads_the_same_from_both_sides() -> None:
    comparison = compared(drawn({"a": 0.5, "b": 0.45}, num_seeds=3))
    there, back = comparison.pair("a", "b"), comparison.pair("b", "a")
    assert there is not None and back is not None and there.improvement and back.improvement
    assert (there.mean, there.interval.low, there.effect_size) == (-back.mean, -back.interval.high, -back.effect_size)  # type: ignore[operator]
    assert there.improvement == pytest.approx(1 - back.improvement) and there.p_value == back.p_value
    assert back.reversed() == there


def test_holm_multiplies_the_smallest_most_and_never_turns_the_order() -> None:
    # .01 * 4, then .02 * 3, .04 * 2 and .05 * 1, which may not fall below the one before
    assert adjust_by_holm([0.04, 0.01, 0.05, 0.02]) == pytest.approx([0.08, 0.04, 0.08, 0.06])
    assert adjust_by_holm([0.9, 0.8]) == [1.0, 1.0]
    assert adjust_by_holm([]) == []


def test_all_pairs_are_corrected_together() -> None:
    comparison = compared(drawn({"a": 0.5, "b": 0.49, "c": 0.48, "d": 0.4}))
    assert len(comparison.pairs) == 6
    expected = adjust_by_holm([pair.p_value or 0.0 for pair in comparison.pairs])
    assert [pair.adjusted_p_value for pair in comparison.pairs] == expected
    smallest = min(comparison.pairs, key=lambda pair: pair.p_value or 0.0)
    assert smallest.adjusted_p_value == pytest.approx(6 * (smallest.p_value or 0.0))


def test_improvement_is_mann_whitneys_over_seeds_averaged_over_examples() -> None:
    rng = np.random.default_rng(0)
    values = {f"{row}-seed{seed}": rng.integers(0, 4, 30).tolist() for row in "ab" for seed in range(3)}
    pair = compared(values).pair("a", "b")
    by_row = [np.array([values[f"{row}-seed{seed}"] for seed in range(3)]) for row in "ab"]
    wins = stats.mannwhitneyu(*by_row, axis=0).statistic / 9  # of 3 x 3 pairs of seeds
    assert pair is not None and pair.improvement == pytest.approx(wins.mean())


def test_where_lower_is_better_improvement_counts_lower_scores() -> None:
    values = {"a-seed0": [0.1, 0.1, 0.3], "b-seed0": [0.2, 0.2, 0.2]}
    lower = {"f": {**SCORES["f"], "greater_is_better": False}}
    pair, turned = compared(values).pair("a", "b"), compared(values, scores=lower).pair("a", "b")
    assert pair is not None and turned is not None
    assert (pair.improvement, turned.improvement) == pytest.approx((1 / 3, 2 / 3))


def test_effect_size_is_in_standard_deviations_of_the_paired_differences() -> None:
    values = drawn({"a": 0.5, "b": 0.4})
    pair = compared(values).pair("a", "b")
    difference = np.subtract(values["a-seed0"], values["b-seed0"])
    assert pair is not None and pair.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))


def test_a_large_variance_between_seeds_makes_a_difference_not_significant() -> None:
    means = {"a": 0.5, "b": 0.45}
    steady = compared(drawn(means, num_seeds=3)).pair("a", "b")
    shaky = compared(drawn(means, num_seeds=3, seed_spread=0.1)).pair("a", "b")
    assert steady is not None and steady.significant
    assert shaky is not None and not shaky.significant and (shaky.detectable or 0) > 3 * (steady.detectable or 0)


def test_a_difference_that_no_score_can_have_is_not_detectable() -> None:
    drawn_scores = drawn({"a": 0.6, "b": 0.4}, num_seeds=2, seed_spread=0.2)
    shares = {run: np.clip(scores, 0, 1).tolist() for run, scores in drawn_scores.items()}
    far_apart = compared(shares).pair("a", "b")
    assert far_apart is not None and far_apart.interval.known and far_apart.detectable is None


def test_how_many_examples_it_takes_holds_when_they_are_had() -> None:
    means = {"a": 0.5, "b": 0.48}
    pair = compared(drawn(means, num_examples=50), smallest_difference=0.02).pair("a", "b")
    assert pair is not None and pair.num_examples_needed and not pair.significant
    assert pair.num_seeds_needed is None  # one seed does not show how seeds vary
    larger = compared(drawn(means, num_examples=2 * pair.num_examples_needed)).pair("a", "b")
    assert larger is not None and larger.significant


def test_what_it_takes_is_for_the_difference_that_matters_not_for_the_measured_one() -> None:
    """The number for the measured one would be the p-value in other words, and endless for equal rows."""
    near, far = (compared(drawn({"a": 0.5, "b": b}), smallest_difference=0.01).pair("a", "b") for b in (0.499, 0.3))
    assert near is not None and far is not None
    assert near.num_examples_needed == pytest.approx(far.num_examples_needed, rel=0.1)


def test_more_seeds_are_named_where_they_are_what_is_missing() -> None:
    values = drawn({"a": 0.4, "b": 0.4}, num_seeds=3, num_examples=1000, seed_spread=0.1)
    pair = compared(values, smallest_difference=0.05).pair("a", "b")
    assert pair is not None and not pair.significant
    assert pair.num_seeds_needed is not None and 4 <= pair.num_seeds_needed <= 400
    assert pair.num_examples_needed is None  # the seeds' part stays, however many examples


def test_what_could_be_found_counts_the_pairs_that_can_be_tested() -> None:
    values = drawn({"a": 0.5, "b": 0.4, "c": 0.3})
    values["c-seed0"][0] = float("nan")
    three, two = compared(drawn({"a": 0.5, "b": 0.4, "c": 0.3})).pair("a", "b"), compared(values).pair("a", "b")
    difference = np.subtract(values["a-seed0"], values["b-seed0"])
    assert three is not None and two is not None and two.detectable is not None
    for pair, tests in ((three, 3), (two, 1)):
        quantiles = stats.t.ppf(1 - 0.05 / tests / 2, 199) + stats.t.ppf(0.8, 199)
        assert pair.detectable == pytest.approx(quantiles * stats.sem(difference), rel=0.01)


def test_intervals_and_decisions_never_disagree() -> None:
    """Intervals hold for all pairs at once; where Holm finds what they would not, they end at 0."""
    for spread in (0.1, 0.3, 0.6, 1.0):
        comparison = compared(drawn({"a": 0.5, "b": 0.46, "c": 0.44, "d": 0.4}, spread=spread, num_seeds=3))
        for pair in comparison.pairs:
            assert pair.interval.low is not None and pair.interval.high is not None
            assert (pair.interval.low < 0 < pair.interval.high) is not pair.significant
            assert pair.interval.level == pytest.approx(1 - 0.05 / 6)


def test_no_interval_is_wider_than_the_score() -> None:
    pair = compared({"a-seed0": [1.0, 1.0, 0.0], "b-seed0": [0.0, 0.0, 0.0]}).pair("a", "b")
    assert pair is not None and pair.interval.high == 1.0 and pair.interval.low is not None and pair.interval.low < 0


def test_equal_answers_differ_by_nothing() -> None:
    pair = compared({"a-seed0": [0.1, 0.4], "b-seed0": [0.1, 0.4]}).pair("a", "b")
    assert pair is not None and (pair.mean, pair.improvement, pair.p_value) == (0, 0.5, 1.0)
    assert not pair.significant and pair.interval.reason == "the difference is the same on every example"


def test_opposite_answers_on_every_example_have_the_sign_test() -> None:
    pair = compared({"a-seed0": [1.0] * 20, "b-seed0": [0.0] * 20}).pair("a", "b")
    assert pair is not None and pair.p_value == pytest.approx(stats.binomtest(20, 20).pvalue) and pair.significant


def test_rows_of_different_test_data_are_not_compared() -> None:
    values = drawn({"a": 0.5, "b": 0.1})
    records = {
        name: record(name[0], scores, provenance={"data_fingerprint": {"test": name}})
        for name, scores in values.items()
    }
    given = {name: lines(scores) for name, scores in values.items()}
    comparison = compare(records, given, expected_runs=[("a", 0), ("b", 0)])
    pair = comparison.pair("a", "b")
    assert pair is not None and pair.p_value is None and pair.interval.reason == "scored on different test data"
    assert comparison.disagreements == ("Runs differ in data test: a-seed0 (a-seed0); b-seed0 (b-seed0).",)


def test_seeds_of_one_row_with_different_test_data_have_no_interval() -> None:
    values = drawn({"a": 0.5}, num_seeds=2)
    records = {
        name: record("a", scores, seed=int(name[-1]), provenance={"data_fingerprint": {"test": name}})
        for name, scores in values.items()
    }
    given = {name: lines(scores) for name, scores in values.items()}
    row = compare(records, given, expected_runs=[("a", 0), ("a", 1)]).rows[0]
    assert row.intervals["f"].reason == "its seeds were scored on different test data"


def test_a_failed_run_disagrees_with_nobody() -> None:
    records = {
        "a-seed0": record("a", [0.1, 0.2], config={"max_length": 512}),
        "b-seed0": record("b", [0.1, 0.2], config={"max_length": 256}, status="failed", error="boom"),
    }
    assert compare(records, {}, expected_runs=[("a", 0), ("b", 0)]).disagreements == ()


def test_a_floor_needs_no_seeds() -> None:
    values = drawn({"a": 0.5}, num_seeds=3) | {"z-seed0": drawn({"z": 0.4})["z-seed0"]}
    trainable = {"a": 10, "z": 0}
    records = {
        name: record(
            name[0], scores, seed=int(name[-1]), parameters={"trainable_params": trainable[name[0]], "total_params": 9}
        )
        for name, scores in values.items()
    }
    given = {name: lines(scores) for name, scores in values.items()}
    comparison = compare(records, given, expected_runs=[(r.row, r.seed) for r in records.values()])
    pair = comparison.pair("a", "z")
    assert pair is not None and pair.interval.scope == "over 200 test examples and 3 seeds"
    assert comparison.rows[1].intervals["f"].scope == "over 200 test examples"
