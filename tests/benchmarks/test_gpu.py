"""The benchmark of study 1 on a GPU, its code run on the CPU."""

import sys

import pytest


@pytest.fixture
def measure(monkeypatch, capsys):
    """`measure("--device", "cpu", …)`: exit status, output and errors of `python -m benchmarks.gpu`."""
    from benchmarks import gpu

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gpu", *map(str, arguments)])
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        return gpu.main(), *capsys.readouterr()

    return run


def test_without_a_gpu_the_error_names_the_remedy(measure):
    status, _, errors = measure()
    assert status == 2
    assert errors == "error: found no CUDA device; to check the code without one, use --device cpu --quick\n"


def test_methods_and_switches_are_measured(measure, tmp_path, monkeypatch):
    from benchmarks import side_by_side
    from benchmarks.gpu import GPU_ONLY, SWITCHES, TABLE
    from benchmarks.table import compare_seconds

    # Runs side by side take a minute, and have a test of their own among the benchmarks.
    beside = [compare_seconds("LoRA", [1.0], [2.0])]
    monkeypatch.setattr(side_by_side, "compare_sizes", lambda *, number, quick: beside if number and quick else [])

    status, output, errors = measure("--device", "cpu", "--quick", "--output", tmp_path / "gpu.md")
    assert status == 0, errors
    assert (tmp_path / "gpu.md").read_text().strip() == output.strip()
    first_cells = [[line.split("|")[1] for line in part.splitlines() if "|" in line] for part in output.split("\n## ")]
    rows = [[cell.split(":")[0].strip() for cell in cells[2:]] for cells in first_cells[1:]]
    switches = [name for name in SWITCHES if name not in GPU_ONLY]
    assert rows == [list(TABLE), list(TABLE), [*TABLE, "all"], switches, ["LoRA"]]


def test_the_projection_is_steps_and_summaries_times_their_seconds():
    from benchmarks.gpu import TABLE, projection
    from benchmarks.place import Place
    from benchmarks.table import Row
    from benchmarks.turns import Memory, Side

    place = Place(device="cpu", quick=True)  # 4 steps a turn, batches of 8 examples and of 4 prompts
    side = Side(seconds=[4.8], results=[], memory=Memory(loaded_bytes=0, peak_bytes=0))
    generated = {row: Row(name=row, ours=1.0, plain=2.4) for row in TABLE}
    table = projection(place, {row: {"ours": side} for row in TABLE}, generated)
    # 21,000 × 10 / 8 × 1.2 s = 8.75 h, and 3,000 / 4 × 2.4 s = .5 h
    assert "| lora | 8.75 h | 0.50 h | 9.25 h |" in table
    assert "| all |  |  | 27.75 h |" in table
