"""The table in the terminal."""

from __future__ import annotations

from small import compared

from hf_peft_compare.comparison import render_table


def test_table_has_a_line_per_row_with_the_records_numbers() -> None:
    table = render_table(
        compared({"a-seed0": [0.1234, 0.2], "b-seed0": [0.3, 0.4]}, expected=[("a", 0), ("b", 0), ("c", 0)])
    )
    line = next(line for line in table.splitlines() if line.startswith("A"))
    assert line.split() == ["A", "0.162", "2.000", "10", "1", "%", "100", "3", "finished"]
    assert (
        "not run yet" in table
        and "the best row is B: F 0.350" in table.replace("\n", " ")
        and "for this seed only" in table
    )


def test_table_without_cuda_shows_resident_memory_and_says_so() -> None:
    table = render_table(
        compared({"a-seed0": [0.1, 0.2]}, memory={"train_peak_allocated_bytes": None, "resident_peak_bytes": 9_000_000})
    )
    assert "Resident" in table and "CUDA device" in table
    assert next(line for line in table.splitlines() if line.startswith("A")).split()[-2] == "9"


def test_table_keeps_control_characters_out_of_the_terminal() -> None:
    table = render_table(compared({"a-seed0": [0.1, 0.2]}, card={"title": "\x1b[31mred\n\u202e"}))
    assert "\x1b" not in table and "\u202e" not in table and "?[31mred??" in table
