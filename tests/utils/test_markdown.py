"""Tables in Markdown: nothing in a cell ends it."""

from __future__ import annotations

from hf_peft_compare.utils.markdown import plain_table, table


def test_cells_that_are_markdown_stay_so_on_one_line() -> None:
    assert table(("x", "y"), [("`a\\|b`", "**two**\nlines")]) == (
        "| x | y |\n| --- | --- |\n| `a\\|b` | **two** lines |"
    )


def test_plain_values_are_one_cell_each() -> None:
    assert plain_table(["a|b"], [[None], [1.5], ["two\n lines | more"]]) == (
        "| a\\|b |\n| --- |\n|  |\n| 1.5 |\n| two lines \\| more |"
    )
