"""The crossed model against independent references: scipy's tests where these apply, formulas, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulation import Setting, draw, simulate

from hf_peft_compare.comparison.crossed_effects import (
    combine,
    estimate_difference,
    estimate_mean,
    plan_detectable,
    take_apart,
)
from hf_peft_compare.comparison.example_scores import ExampleScores


def scores(num_seeds: int, num_examples: int = 60, *, seed: int = 0, seed_spread: float = 0.5) -> np.ndarray:
    """Draw scores [2 methods, S, N] that share their examples."""
    setting = Setting(
        num_seeds=num_seeds, seed_variances=[seed_spread**2] * 2, correlation=0.7, num_examples=num_examples
    )
    return draw(setting, 1, np.random.default_rng(seed))[0]


def test_one_seed_is_the_paired_t_test_over_examples() -> None:
    first, second = scores(1)
    found, expected = estimate_difference(take_apart(first), take_apart(second)), stats.ttest_rel(first[0], second[0])
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.bounds() == pytest.approx(tuple(expected.confidence_interval()))


def test_one_seed_agrees_with_the_permutation_test() -> None:
    first, second = scores(1, seed=3, seed_spread=0)
    rng = np.random.default_rng(0)
    permuted = stats.permutation_test(
        (first[0] - second[0],), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng
    )
    found = estimate_difference(take_apart(first), take_apart(second))
    assert 0.01 < found.p_value < 0.9 and found.p_value == pytest.approx(permuted.pvalue, abs=0.02)


def test_where_examples_do_not_matter_the_seeds_are_two_samples() -> None:
    first, second = (np.repeat(np.random.default_rng(seed).normal(size=(5, 1)), 40, axis=1) for seed in (0, 1))
    found = estimate_difference(take_apart(first), take_apart(second))
    welch = stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False)
    assert found.mean / found.standard_error == pytest.approx(welch.statistic)
    assert 4 <= found.df <= 9  # S - 1 to 2 S - 1; Welch's are at most 2 S - 2


def test_one_method_that_varies_alone_has_the_t_test_of_its_seeds() -> None:
    seeds = np.random.default_rng(2).normal(size=4)
    varying, constant = np.repeat(seeds[:, None], 30, axis=1), np.zeros((1, 30))
    found, expected = estimate_difference(take_apart(varying), take_apart(constant)), stats.ttest_1samp(seeds, 0)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_degrees_of_freedom_worked_out_by_hand() -> None:
    found = combine(0.0, seeds=[1.0, 1.0], num_seeds=[3, 3], examples=101.0, noise=0.0, num_examples=101)
    assert found.standard_error**2 == pytest.approx(1 + 1 + 1)
    seeds_alone = (1 + 1) ** 2 / (1 / 3 + 1 / 3) - 1  # 5, of two methods that vary alike
    assert found.df == pytest.approx((2 * 2 + 1) ** 2 / ((2 * 2) ** 2 / seeds_alone + 1 / 100))


def test_the_variance_of_a_difference_is_estimated_without_bias() -> None:
    setting = Setting(num_seeds=3, seed_variances=[0.02, 0.2], correlation=0.5, rest_variance=0.6, num_examples=50)
    first, second = np.moveaxis(draw(setting, 8000, np.random.default_rng(0)), 1, 0)
    found = estimate_difference(take_apart(first), take_apart(second))
    truth = (0.02 + 0.2) / 3 + 2 * (1 - 0.5) / 50 + 2 * 0.6 / (3 * 50)
    assert np.mean(found.standard_error**2) == pytest.approx(truth, rel=0.03)
    assert np.var(found.mean) == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("num_seeds", [3, 5, 10])
@pytest.mark.parametrize("seed_variance", [0.0, 0.03, 1.0])
def test_intervals_cover_and_equal_methods_seldom_seem_to_differ(num_seeds: int, seed_variance: float) -> None:
    """A small edition of `simulation.py`: 600 studies of four methods, within four standard errors of the aims."""
    setting = Setting(num_seeds=num_seeds, seed_variances=[seed_variance] * 4, correlation=0.6, num_examples=60)
    found = simulate(setting, num_studies=600, rng=np.random.default_rng(num_seeds))
    assert 0.935 <= found.covers <= 0.965
    assert found.alarms <= 0.065 + 0.02 and found.holds_best >= 0.93 - 0.03


def test_the_simulation_notices_intervals_that_are_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(num_seeds=3, seed_variances=[1.0] * 4, correlation=0.6, num_examples=60)
    only_examples = lambda parts: take_apart(parts.mean(-2, keepdims=True))  # noqa: E731
    monkeypatch.setattr("simulation.take_apart", only_examples)
    found = simulate(setting, num_studies=100, rng=np.random.default_rng(0))
    assert found.covers < 0.5 and found.alarms > 0.5


def test_two_seeds_are_too_few_for_unlike_methods() -> None:
    setting = Setting(num_seeds=2, seed_variances=[0.0, 0.1], correlation=0.5)
    assert simulate(setting, num_studies=2000, rng=np.random.default_rng(0)).covers < 0.935


@pytest.mark.parametrize("rows", [3, 10])
def test_methods_unlike_each_other_seldom_seem_to_differ_from_five_seeds_on(rows: int) -> None:
    setting = Setting(num_seeds=5, seed_variances=([0.0, 0.03, 1.0] * 4)[:rows], correlation=0.5)
    assert simulate(setting, num_studies=500, rng=np.random.default_rng(0)).alarms <= 0.05 + 0.025


def test_the_best_set_holds_the_best_and_more_worse_rows_leave_it_than_holm_tells_apart() -> None:
    setting = Setting(num_seeds=3, seed_variances=[0.03] * 5, correlation=0.5, means=[0.4, 0, 0, 0, 0])
    found = simulate(setting, num_studies=500, rng=np.random.default_rng(0))
    assert found.holds_best >= 0.93 and found.out_of_set > 1.5 * found.by_holm


def test_no_formula_sees_a_collapse_that_the_seeds_did_not_show() -> None:
    setting = Setting(num_seeds=3, seed_variances=[0.01] * 2, correlation=0.5, collapsing=0.2)
    assert simulate(setting, num_studies=500, rng=np.random.default_rng(0)).covers < 0.7


def test_the_degrees_of_freedom_never_fall_below_those_of_the_seeds() -> None:
    found = combine(0.0, seeds=[1e-9, 1e-9], num_seeds=[3, 3], examples=1.0, noise=2.0, num_examples=50)
    assert found.df == 2


@pytest.mark.parametrize(("num_seeds", "seed_variance"), [(1, 0.0), (3, 0.0), (3, 1.0), (5, 0.03)])
def test_a_detectable_difference_is_found_with_about_the_probability_stated(
    num_seeds: int, seed_variance: float
) -> None:
    setting = Setting(num_seeds=num_seeds, seed_variances=[seed_variance] * 2, correlation=0.5)
    one, other = (draw(setting, 1000, np.random.default_rng(seed)) for seed in (0, 1))
    stated = estimate_difference(take_apart(one[:, 0]), take_apart(one[:, 1])).detectable(0.05)
    shifted = other[:, 0] + np.asarray(stated)[:, None, None]
    found = estimate_difference(take_apart(shifted), take_apart(other[:, 1])).p_value < 0.05
    assert 0.74 <= np.mean(found) <= 0.86


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_a_plan_of_the_same_size_detects_what_this_study_does(num_seeds: int) -> None:
    parts = [take_apart(method) for method in scores(num_seeds)]
    planned = plan_detectable(*parts, num_examples=60, alpha=0.05)
    assert planned == pytest.approx(estimate_difference(*parts).detectable(0.05))


def test_more_seeds_and_more_examples_detect_less_until_the_other_is_all_that_is_left() -> None:
    parts = [take_apart(method) for method in scores(5)]
    by_seeds = plan_detectable(*parts, num_seeds=np.array([5, 20, 10**6]), num_examples=60, alpha=0.05)
    by_examples = plan_detectable(*parts, num_examples=np.array([60, 600, 10**9]), alpha=0.05)
    for found in (by_seeds, by_examples):
        assert found[0] > found[1] > found[2] > 0
    seeds_alone = np.sqrt(sum(max(0, p.seed_variance - p.rest_variance / 60) for p in parts) / 5)
    assert by_examples[2] > 2 * seeds_alone


def test_a_ratio_of_sums_has_the_interval_of_its_bootstrap() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 30, size=(1, 400)).astype(float)
    nats = tokens * rng.gamma(9.0, size=(1, 400))
    values = ExampleScores(ids=tuple(map(str, range(400))), values=nats, weights=tokens, num_examples=400)
    found = estimate_mean(take_apart(values.linear))
    assert found.mean == pytest.approx(nats.sum() / tokens.sum())
    bootstrap = stats.bootstrap(
        (nats[0], tokens[0]),
        lambda n, t, axis: n.sum(axis) / t.sum(axis),
        paired=True,
        vectorized=True,
        rng=rng,
        method="basic",
    )
    assert found.bounds() == pytest.approx(tuple(bootstrap.confidence_interval), abs=0.15 * found.standard_error)
