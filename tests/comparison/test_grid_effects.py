"""Effects of a grid's settings: which rows are paired, what is averaged, and when nothing is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from small import compared, lines, record

from hf_peft_compare.comparison import Comparison, PairedDifference, compare
from hf_peft_compare.comparison.grid_effects import grid_effects
from hf_peft_compare.comparison.pairwise import adjust_by_holm
from hf_peft_compare.config.grids import cells

GRID: dict[str, list[Any]] = {"n": [1, 2, 3], "dropout": [0, 0.1]}
ROWS = list(cells("x", GRID))


def drawn(*, num_seeds: int = 1, num_examples: int = 40) -> dict[str, list[float]]:
    """Return scores of all cells: .2 more for each step of n, nothing for dropout, and noise."""
    rng = np.random.default_rng(1)
    hard = rng.normal(scale=0.1, size=num_examples)
    return {
        f"{row}-seed{seed}": (0.2 * cell["n"] + hard + rng.normal(scale=0.05, size=num_examples)).tolist()
        for row, cell in cells("x", GRID).items()
        for seed in range(num_seeds)
    }


def effects_of(comparison: Comparison, grid: dict[str, list[Any]] = GRID) -> dict[tuple[Any, ...], PairedDifference]:
    found = grid_effects(comparison.rows, grid, cells("x", grid), greater_is_better=True)
    return {(change.key, change.before, change.after): pair for change, pair in found}


def test_each_step_and_the_whole_way_have_an_effect() -> None:
    found = effects_of(compared(drawn()))
    assert list(found) == [("n", 1, 2), ("n", 2, 3), ("n", 1, 3), ("dropout", 0, 0.1)]
    assert [pair.significant for pair in found.values()] == [True, True, True, False]
    assert [pair.mean for pair in found.values()] == pytest.approx([0.2, 0.2, 0.4, 0], abs=0.03)


def test_an_effect_is_the_mean_over_the_pairs_that_differ_in_its_key_alone() -> None:
    values = drawn()
    mean = {row: np.mean([values[f"{row}-seed0"]]) for row in ROWS}
    found = effects_of(compared(values))
    expected = np.mean([mean["x-2-0"] - mean["x-1-0"], mean["x-2-0.1"] - mean["x-1-0.1"]])
    assert found["n", 1, 2].mean == pytest.approx(expected)
    after, before = (np.mean([values[f"x-{n}-{end}-seed0"] for n in (1, 2, 3)], axis=0) for end in (0.1, 0))
    assert found["dropout", 0, 0.1].p_value == pytest.approx(stats.ttest_rel(after, before).pvalue)


def test_all_effects_of_a_grid_are_adjusted_together() -> None:
    found = effects_of(compared(drawn())).values()
    assert [p.adjusted_p_value for p in found] == adjust_by_holm([p.p_value or 0.0 for p in found])


def test_seeds_stay_seeds() -> None:
    pair = effects_of(compared(drawn(num_seeds=3)))["n", 1, 2]
    assert "3 seeds" in pair.interval.scope


def test_where_a_cell_or_a_seed_is_missing_the_other_pairs_are_left() -> None:
    values = drawn(num_seeds=2)
    for run in ("x-1-0-seed0", "x-1-0-seed1", "x-2-0-seed1"):
        del values[run]
    runs = [(row, seed) for row in ROWS for seed in (0, 1)]
    rows = compared(values, expected=runs).rows
    found = {
        (c.before, c.after): c.pairs for c, _ in grid_effects(rows, GRID, cells("x", GRID), greater_is_better=True)
    }
    assert found[1, 2] == (("x-1-0.1", "x-2-0.1"),) and found[0, 0.1] == (("x-3-0", "x-3-0.1"),)


def test_rows_on_different_test_data_have_no_effects() -> None:
    records = {
        run: record(run.removesuffix("-seed0"), values, provenance={"data_fingerprint": {"test": run[:3]}})
        for run, values in drawn().items()
    }
    predictions = {run: lines(values) for run, values in drawn().items()}
    assert effects_of(compare(records, predictions, expected_runs=[(row, 0) for row in ROWS])) == {}


def test_a_value_alone_has_no_effect() -> None:
    assert effects_of(compared({"x-1-seed0": [0.1, 0.2, 0.4]}), {"n": [1]}) == {}
