"""The rates of `tune: auto` beside those of a grid: losses, order, and studies that go on."""

import pytest


def found(row, auto, *grid):
    """Return a row with its loss at the rate found and its losses in a grid of rates .1, .2, …"""
    from benchmarks.learning_rates import Found
    from hf_peft_compare.records.parts import Validation

    def record(rate, loss):
        from types import SimpleNamespace

        return SimpleNamespace(
            config={"training": {"learning_rate": rate}},
            validation=Validation(best_loss=loss, best_step=1, best_epoch=1.0),
            tuning=None,
        )

    return Found(row=row, auto=record(0.25, auto), grid=[record((k + 1) / 10, loss) for k, loss in enumerate(grid)])


def test_a_loss_is_compared_with_the_best_of_the_grid():
    from benchmarks.learning_rates import rows_of

    line, _, median = rows_of({"tweets": [found("lora", 1.25, 2.0, 1.0, float("nan"))]})
    assert (line.name, line.ours, line.plain, line.ratio) == ("tweets: lora", 1.25, 1.0, 0.8)
    assert line.note == "25.0 % worse; rate 0.25 against 0.2"
    assert (median.name, median.ratio, median.met) == ("median of 1 rows", 0.8, False)


def test_a_best_rate_at_the_edge_of_the_grid_is_marked():
    from benchmarks.learning_rates import rows_of

    assert "against 0.1 (edge of the grid)" in rows_of({"tweets": [found("lora", 1.0, 1.0, 2.0)]})[0].note


def test_the_aim_is_the_median_of_all_tasks():
    from benchmarks.learning_rates import rows_of

    rows = {"a": [found("x", 1.5, 1.0)], "b": [found("x", 1.01, 1.0), found("y", 1.0, 1.0)]}
    median = rows_of(rows)[-1]
    assert median.met and median.note == "1.0 % worse; the worst 50.0 % worse"


@pytest.mark.parametrize("lora, same", [((0.9, 0.9), True), ((1.1, 0.9), False), ((1.005, 0.9), True)])
def test_rows_within_a_percent_have_no_order(lora, same):
    from benchmarks.learning_rates import same_order

    assert same_order([found("full", 1.0, 1.0), found("lora", *lora)]) is same


def test_a_grid_has_three_rates_in_an_order_of_magnitude():
    from benchmarks.learning_rates import rates

    assert rates("lora", 8) == [0.0001, 0.00022, 0.00046, 0.001, 0.0022, 0.0046, 0.01, 0.022]


def test_without_data_the_benchmark_is_skipped(monkeypatch):
    from benchmarks.learning_rates import BENCHMARK
    from benchmarks.table import section

    monkeypatch.delenv("HF_PEFT_COMPARE_TEST_DATA", raising=False)
    assert "Skipped: HF_PEFT_COMPARE_TEST_DATA is not set" in section(BENCHMARK, quick=False)


def test_both_searches_run_and_a_finished_one_is_only_read(monkeypatch, tmp_path):
    from benchmarks.learning_rates import QUICK, RUNS_VARIABLE, run

    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    lines = run(quick=True)
    assert [line.name for line in lines[:-2]] == [f"stories: {row}" for row in QUICK.rows]
    assert all(line.ratio == pytest.approx(line.plain / line.ours) for line in lines[:-2])
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("**/record.json")}
    assert run(quick=True) == lines
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("**/record.json")} == written
