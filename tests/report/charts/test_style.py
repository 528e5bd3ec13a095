"""Rows keep their color and marker in all charts, and labels stay apart once they are cut."""

from __future__ import annotations

from pathlib import Path

from synthetic import Study, make_study_runs

from hf_peft_compare.report import charts
from hf_peft_compare.report.charts.style import COLORS, FLOOR_COLORS, INK, PAPER, unique_labels
from hf_peft_compare.report.writing import gather


def test_every_row_has_a_color_and_a_marker_of_its_own() -> None:
    material = gather(Study(), *make_study_runs())  # type: ignore[arg-type]
    floors = {row.row for row in material.comparison.rows if row.floor}
    assert len(set(material.colors.values())) == len(set(material.markers.values())) == len(material.colors)
    assert {material.colors[row] for row in floors} == set(FLOOR_COLORS)
    assert {color for row, color in material.colors.items() if row not in floors} <= set(COLORS)


def test_long_labels_that_begin_alike_stay_apart() -> None:
    labels = unique_labels(["A" * 60, "A" * 60, "B", "A" * 60])
    assert labels[1:] == [f"{labels[0]} #2", "B", f"{labels[0]} #3"]
    assert len(labels[0]) < 80


def test_the_page_replaces_the_colors_that_charts_are_drawn_in() -> None:
    script = (Path(charts.__file__).parents[1] / "templates" / "page.js").read_text(encoding="utf-8")
    assert f'"{INK}"' in script and f'"{PAPER}"' in script
