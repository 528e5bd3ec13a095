"""The comparison of a few small records, checked against numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from small import SCORES, compared, record

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.rows import first_line


def test_a_row_is_the_mean_over_its_seeds_with_their_spread() -> None:
    row = compared({"a-seed0": [0.1, 0.3], "a-seed1": [0.3, 0.5]}).rows[0]
    assert row.figures["f"] == pytest.approx(0.3)  # mean of .2 and .4
    assert row.spreads["f"] == pytest.approx(np.sqrt(0.02))  # sample deviation of .2 and .4
    assert row.figures["train_seconds"] == 150.0
    assert row.intervals["f"].scope == "over 2 test examples and 2 seeds, too few for 95 % coverage"


def test_one_seed_is_said_to_be_one_seed_and_has_no_spread() -> None:
    row = compared({"a-seed0": [0.1, 0.3]}).rows[0]
    assert row.spreads == {}
    assert "for this seed only" in row.intervals["f"].scope


def test_runs_without_a_record_are_missing_and_failures_keep_their_error() -> None:
    failed = record("b", [0.0], status="failed", error="CUDA out of memory", results={})
    comparison = compare({"b-seed0": failed}, {}, expected_runs=[("a", 0), ("b", 0)])
    assert [row.status for row in comparison.rows] == ["missing", "failed"]
    assert [row.remark for row in comparison.rows] == ["not run yet", "failed: CUDA out of memory"]
    assert comparison.ranking_score is None and comparison.best_row is None


def test_a_row_with_some_seeds_is_partial() -> None:
    row = compared({"a-seed0": [0.1, 0.2]}, expected=[("a", 0), ("a", 1), ("a", 2)]).rows[0]
    assert (row.status, row.remark) == ("partial", "1 of 3 seeds")


def test_an_unexpected_record_is_not_lost() -> None:
    comparison = compared({"a-seed0": [0.1, 0.2], "z-seed7": [0.1, 0.2]}, expected=[("a", 0)])
    assert [(run.row, run.seed) for run in comparison.runs] == [("a", 0), ("z", 7)]


def test_best_row_follows_the_direction_of_the_ranking_score() -> None:
    by_run = {"a-seed0": [0.1, 0.2], "b-seed0": [0.3, 0.4]}
    assert compared(by_run).best_row == "b"
    lower = {"f": {**SCORES["f"], "greater_is_better": False}}
    assert compared(by_run, scores=lower).best_row == "a"


def test_a_diverged_row_is_never_the_best() -> None:
    comparison = compared({"a-seed0": [float("nan"), 0.9], "b-seed0": [0.3, 0.4]})
    assert comparison.best_row == "b"
    assert comparison.rows[0].intervals["f"].reason == "not a finite number for every example"


def test_rows_that_train_nothing_are_floors() -> None:
    comparison = compared({"a-seed0": [0.1, 0.2]}, trainable=0)
    assert comparison.rows[0].floor and comparison.best_floor == "a"
    assert not compared({"a-seed0": [0.1, 0.2]}).rows[0].floor


def test_what_was_trained_elsewhere_is_no_floor_and_has_no_spread_of_seeds() -> None:
    config = {"method": {"name": "checkpoint", "checkpoint": "there"}}
    for trainable in (0, 10):  # a whole model, an adapter
        runs = {"given-seed0": [0.5, 0.4], "given-seed1": [0.5, 0.4]}
        row = compared(runs, config=config, trainable=trainable).row("given")
        assert row is not None and row.given and not row.floor and not row.seeded


def test_rows_that_share_a_title_are_labeled_with_their_names() -> None:
    records = {name: record(name[0], [0.1], card={"title": "LoRA"}) for name in ("a-seed0", "b-seed0")}
    rows = compare(records, {}, expected_runs=[("a", 0), ("b", 0)]).rows
    assert [row.label for row in rows] == ["LoRA (a)", "LoRA (b)"]


def test_the_most_informative_line_of_a_traceback_is_its_last() -> None:
    assert first_line('Traceback (most recent call last):\n  File "x"\nRuntimeError: boom\n') == "RuntimeError: boom"
    assert first_line("boom\nsecond") == "boom"
