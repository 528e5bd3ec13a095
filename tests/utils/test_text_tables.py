"""Tables of the terminal: aligned, never wrapped, and plain text wherever they are written."""

from __future__ import annotations

import pytest

from hf_peft_compare.utils.text_tables import text_table


def test_words_are_to_the_left_and_numbers_to_the_right() -> None:
    table = text_table(["row", "tokens\nper s"], [["lora", "1"], ["full", "12,345"]], left=["row"])
    header, second, rule, *rows = table.split("\n")
    assert (header.split(), second.split(), rows) == (
        ["tokens"],
        ["row", "per", "s"],
        ["lora        1", "full   12,345"],
    )
    assert set(rule) == {"─"}


def test_nothing_is_wrapped_or_taken_for_markup_or_a_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    words = "[red]long[/red] :smile: " + "word " * 60 + "end"
    table = text_table(["row", "number"], [[words, "1,234,567"]], left=["row"])
    assert table.split("\n")[-1] == f"{words}   1,234,567" and "\x1b" not in table
