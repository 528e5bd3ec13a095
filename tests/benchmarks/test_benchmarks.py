"""Each benchmark in its small size: it does what it says it measures; speed is not asserted."""

import sys

import pytest


def sane(rows):
    """Whether every row has positive amounts and a ratio that is theirs."""
    for row in rows:
        assert row.ours > 0 and row.plain > 0, row
        assert row.ratio is None or row.ratio == pytest.approx(row.plain / row.ours), row
    return bool(rows)


def test_training_step_compares_every_method_at_the_same_losses():
    from benchmarks.training_step import METHODS, run

    rows = run(quick=True)
    assert sane(rows)
    seconds = [row for row in rows if row.name.endswith("seconds of a step")]
    assert [row.name.split(":")[0] for row in seconds] == list(METHODS)
    assert all("losses, at most" in row.note for row in seconds)
    assert [row.aim for row in seconds if row.aim] == ["≥ 1.35"] * 2


def test_bf16_is_compared_with_float32():
    from benchmarks.bf16 import METHODS, run

    rows = run(quick=True)
    assert sane(rows)
    seconds = [row for row in rows if row.name.endswith("seconds of a step")]
    assert [row.name.split(":")[0] for row in seconds] == list(METHODS)
    assert not any("at most 0e+00 apart" in row.note for row in seconds), "both sides ran in the same precision"


def test_trl_learns_the_same():
    pytest.importorskip("trl", reason="trl is not installed")
    from benchmarks.sft_trainer import CASES, run

    rows = run(quick=True)
    assert sane(rows)
    assert [row.name.split(":")[0] for row in rows if row.name.endswith("seconds of a step")] == [c[0] for c in CASES]


def test_trl_is_skipped_where_it_is_not_installed(without):
    from benchmarks.sft_trainer import BENCHMARK
    from benchmarks.table import section

    without("trl")
    assert "Skipped: trl is not installed" in section(BENCHMARK, quick=True)


def test_our_step_spares_the_arithmetic_of_the_logits_that_nothing_is_learned_from():
    """The head is a product of [B × columns, H] and [H, V]; with its two gradients it counts three times."""
    from benchmarks.ours import SMALL
    from benchmarks.training_step import QUICK, step_run, take_steps

    sides = take_steps(step_run("full", QUICK, True), QUICK)
    ours, plain = (sides[name].results[0]["flops"] for name in ("ours", "plain"))
    spared_columns = QUICK.num_tokens - (QUICK.num_completion_tokens + 1)
    assert plain - ours == 3 * 2 * QUICK.batch_size * spared_columns * SMALL["n_embd"] * SMALL["vocab_size"]


def test_trunk_cache_compares_with_our_own_run_and_with_the_plain_recipe():
    from benchmarks.trunk_cache import run

    rows = run(quick=True)
    assert sane(rows)
    assert [row.aim for row in rows] == ["≥ 2", "", "≥ 3", ""]


def test_short_texts(test_data):
    from benchmarks.short_texts import run

    (row,) = run(quick=True)
    assert sane([row])
    assert row.ratio > 1, "padding to 512 costs more than any noise"


def test_short_texts_are_skipped_without_data(monkeypatch):
    from benchmarks.short_texts import BENCHMARK
    from benchmarks.table import section

    monkeypatch.delenv("HF_PEFT_COMPARE_TEST_DATA", raising=False)
    assert "Skipped: HF_PEFT_COMPARE_TEST_DATA is not set" in section(BENCHMARK, quick=True)


def test_generation_writes_the_same_texts():
    from benchmarks.generation import run

    rows = run(quick=True)
    assert sane(rows)
    assert all(row.note.startswith("8 texts,") and row.note.endswith("all the same") for row in rows)


def test_steady_state_trains_the_same():
    from benchmarks.steady_state import run

    (row,) = run(quick=True)
    assert sane([row])
    assert "losses, at most" in row.note


def test_runs_side_by_side_are_the_same_runs():
    from benchmarks.side_by_side import run

    (row,) = run(quick=True)
    assert sane([row])
    assert "GFLOP per step" in row.note


def test_commands_leave_torch_out():
    from benchmarks.command_line import run

    rows = run(quick=True)
    assert sane(rows)
    assert [row.name for row in rows] == ["--help", "list", "report"]


def test_a_command_that_imports_torch_is_found_out(monkeypatch):
    from benchmarks.command_line import WITHOUT_TORCH, _python
    from hf_peft_compare.core.errors import RunFailed

    _python("-c", WITHOUT_TORCH, "list")
    with pytest.raises(RunFailed, match="torch was imported"):
        _python("-c", "import torch\n" + WITHOUT_TORCH, "list")


@pytest.fixture
def measure(monkeypatch, capsys):
    """`measure("NAME", "--quick", …)`: exit status, output and errors of `python -m benchmarks`."""
    import benchmarks.__main__ as command

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
        for name in ("CUDA_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM"):
            monkeypatch.setenv(name, "")  # the command sets them; they are put back after the test
        return command.main(), *capsys.readouterr()

    return run


@pytest.fixture
def benchmarks_named(monkeypatch):
    """`benchmarks_named(name=run, …)`: the command knows these benchmarks alone."""
    import benchmarks.__main__ as command
    from benchmarks.table import Benchmark

    def use(**runs):
        found = {name: Benchmark(name=name, title=name, about="", run=run) for name, run in runs.items()}
        monkeypatch.setattr(command, "BENCHMARKS", found)

    return use


def test_an_unknown_benchmark_is_bad_input(measure):
    status, _, errors = measure("trainin_step")
    assert status == 2
    assert "Did you mean 'training_step'?" in errors


def test_a_failing_benchmark_does_not_stop_the_others(measure, benchmarks_named, tmp_path):
    from benchmarks.table import compare_seconds
    from hf_peft_compare.core.errors import RunFailed

    def fails(quick):
        raise RunFailed("losses differ")

    benchmarks_named(first=fails, second=lambda quick: [compare_seconds("x", [1.0], [2.0])])
    status, output, _ = measure("--quick", "--output", tmp_path / "results.md")
    assert status == 1
    assert "## first\n\nFailed: losses differ" in output
    assert "| x | 1 s | 2 s | **2.00** |" in output
    assert (tmp_path / "results.md").read_text().strip() == output.strip()


def test_results_are_published_after_a_whole_run_alone(measure, benchmarks_named, tmp_path, monkeypatch):
    import benchmarks.__main__ as command

    monkeypatch.setattr(command, "RESULTS", tmp_path / "RESULTS.md")
    benchmarks_named(one=lambda quick: [], two=lambda quick: [])
    for arguments in (["--quick"], ["one"]):
        measure(*arguments)
        assert not command.RESULTS.exists()
    measure()
    assert "## one" in command.RESULTS.read_text() and "## two" in command.RESULTS.read_text()
