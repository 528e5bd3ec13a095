"""Intervals over examples, and why there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulation import Single, cover_single
from small import SCORES, compared, lines, record

from hf_peft_compare.comparison import compare


@pytest.mark.parametrize(
    ("values", "reason"), [([0.5], "fewer than 2"), ([0.5, 0.5], "same value"), ([0.5, float("nan")], "not a finite")]
)
def test_no_interval_if_the_examples_do_not_determine_one(values: list[float], reason: str) -> None:
    interval = compared({"a-seed0": values}).rows[0].intervals["f"]
    assert not interval.known and reason in str(interval.reason)


def test_the_loss_has_an_interval_around_nats_over_tokens_on_a_logarithmic_scale() -> None:
    interval = compared({"a-seed0": [0.1, 0.2, 0.3]}).rows[0].intervals["test_loss"]
    assert interval.low is not None and interval.high is not None and interval.low > 0
    assert np.sqrt(interval.low * interval.high) == pytest.approx(2)  # the nats of all over the tokens of all


def test_a_score_at_its_bound_has_the_exact_interval() -> None:
    interval = compared({"a-seed0": [1.0] * 300}).rows[0].intervals["f"]
    exact = stats.binomtest(300, 300).proportion_ci(method="exact")
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high)) and interval.high == 1.0
    none_right = compared({"a-seed0": [0.0] * 300}).rows[0].intervals["f"]
    assert (none_right.low, none_right.high) == pytest.approx((0.0, 1 - exact.low))


def test_a_score_of_other_values_has_a_plain_interval() -> None:
    values = [float(value) for value in np.random.default_rng(0).normal(30, 5, 50)]
    interval = compared({"a-seed0": values}).rows[0].intervals["f"]
    assert (interval.low, interval.high) == pytest.approx(
        stats.t.interval(0.95, 49, np.mean(values), stats.sem(values))
    )


@pytest.mark.parametrize(
    "single",
    [
        Single(kind="accuracy .5", num_seeds=1, num_examples=150, seed_variance=0.0),
        Single(kind="accuracy .9", num_seeds=1, num_examples=150, seed_variance=0.0),
        Single(kind="accuracy .99", num_seeds=5, num_examples=300, seed_variance=0.02),
        Single(kind="like ROUGE", num_seeds=3, num_examples=150, seed_variance=0.02),
        Single(kind="test_loss, skewed", num_seeds=3, num_examples=300, seed_variance=0.02),
        Single(kind="normal", num_seeds=3, num_examples=150, seed_variance=1.0),
    ],
    ids=lambda single: f"{single.kind}-{single.num_seeds}-{single.num_examples}-{single.seed_variance}",
)
def test_intervals_cover_and_stay_within_the_scores_range(single: Single) -> None:
    """Within three standard errors of 93 to 97.5 %; `simulation.py` tries all 126 settings."""
    covers = cover_single(single, num_studies=500, rng=np.random.default_rng(1))
    assert 0.93 - 0.034 <= covers <= 0.975 + 0.021


def test_examples_of_a_cluster_count_as_one() -> None:
    """With fifty texts that are each asked six times, the interval is that of fifty, not of three hundred."""
    rng = np.random.default_rng(0)
    of_cluster = rng.integers(0, 2, 50).astype(float)
    values = np.repeat(of_cluster, 6).tolist()
    alone = compared({"a-seed0": values}).rows[0].intervals["f"]
    together = [{**line, "cluster": str(i // 6)} for i, line in enumerate(lines(values))]
    row = compare({"a-seed0": record("a", values)}, {"a-seed0": together}, expected_runs=[("a", 0)]).rows[0]
    interval, fifty = row.intervals["f"], compared({"a-seed0": of_cluster.tolist()}).rows[0].intervals["f"]
    assert interval.scope.startswith("over 50 clusters of 300 test examples")
    assert (interval.low, interval.high) == pytest.approx((fifty.low, fifty.high))
    assert interval.high - interval.low > 2 * (alone.high - alone.low)  # type: ignore[operator]


def test_seeds_with_other_examples_have_no_interval() -> None:
    records = {f"a-seed{seed}": record("a", [0.1, 0.2, 0.4], seed=seed) for seed in (0, 1)}
    given = {"a-seed0": lines([0.1, 0.2, 0.4]), "a-seed1": lines([0.1, 0.2])}
    row = compare(records, given, expected_runs=[("a", 0), ("a", 1)]).rows[0]
    assert row.intervals["f"].reason == "its seeds were scored on different examples"


def test_a_row_that_draws_its_examples_depends_on_the_seed() -> None:
    shots = {"config": {"method": {"name": "few_shot", "shots": 4}}, "trainable": 0, "scores": SCORES}
    row = compare(
        {"a-seed0": record("a", [0.1, 0.2], **shots)}, {"a-seed0": lines([0.1, 0.2])}, expected_runs=[("a", 0)]
    )
    assert row.rows[0].floor and row.rows[0].seeded and "for this seed only" in row.rows[0].intervals["f"].scope


def test_without_predictions_there_are_means_but_no_intervals() -> None:
    row = compare({"a-seed0": record("a", [0.1, 0.2])}, {}, expected_runs=[("a", 0)]).rows[0]
    assert row.figures["f"] == pytest.approx(0.15)
    assert not row.intervals["f"].known
