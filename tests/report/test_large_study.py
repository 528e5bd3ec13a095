"""The page of a study of 27 rows: the grids first, what matters open, the rest one click away, and few bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grid_study import make_grid_study
from pages import read_table, see_all
from synthetic import Study, make_study_runs

from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.report import write_report
from hf_peft_compare.report.blocks import MANY_ROWS, Charts, Example, Material, Table
from hf_peft_compare.report.charts.losses import MOST_POINTS_IN_ALL
from hf_peft_compare.report.charts.style import label_rows
from hf_peft_compare.report.page import pack
from hf_peft_compare.report.sections import examples
from hf_peft_compare.report.sections.examples import render_examples
from hf_peft_compare.report.writing import gather, render_sections
from hf_peft_compare.utils.formatting import MOST_LISTED

ROWS, SEEDS = 27, 3
Sections = dict[str, list[Any]]


@pytest.fixture(scope="module")
def material() -> Material:
    return gather(*make_grid_study(num_examples=60))


@pytest.fixture(scope="module")
def sections(material: Material) -> Sections:
    return {section.name: blocks for section, blocks in render_sections(material)}


def tables(sections: Sections) -> dict[str, Table]:
    return {block.name: block for blocks in sections.values() for block in blocks if isinstance(block, Table)}


def test_the_grids_follow_the_verdict(sections: Sections) -> None:
    assert list(sections)[:2] == ["verdict", "grids"]


def test_a_long_table_is_folded_unless_it_leads(sections: Sections) -> None:
    found = tables(sections)
    assert {"clocks", "memory", "learning", "settings", "classes"} <= {n for n, table in found.items() if table.folded}
    assert not any(found[name].folded for name in ("comparison", "pairs", "pareto", "grid-lora", "grid-prompt_tuning"))
    assert all(len(table.rows) <= MANY_ROWS for table in found.values() if not table.folded and not table.leads)


def test_the_pairs_with_the_best_row_lead_and_all_others_are_folded(sections: Sections, material: Material) -> None:
    comparison, table = material.comparison, tables(sections)["pairs"]
    best = comparison.row(comparison.best_row)
    assert best is not None and len(table.rows) == ROWS - 1
    assert all(best.label in (cells[0].text, cells[1].text) for cells in table.rows)
    assert not any(best.label in (cells[0].text, cells[1].text) for cells in table.rest)
    assert len(table.rows) + len(table.rest) == ROWS * (ROWS - 1) / 2 == len(comparison.pairs)


def test_the_methods_on_a_front_lead_and_the_others_are_folded(sections: Sections) -> None:
    table = tables(sections)["pareto"]
    assert all(any(cell.best for cell in cells) for cells in table.rows) and table.rows
    assert not any(cell.best for cells in table.rest for cell in cells)
    assert len(table.rows) + len(table.rest) == ROWS


@pytest.mark.parametrize("name", ["settings", "classes"])
def test_a_table_has_a_line_for_each_of_many_methods_not_a_column(name: str, sections: Sections) -> None:
    table = tables(sections)[name]
    assert table.columns[0].title == "Method" and len(table.columns) < ROWS <= len(table.rows) + 2
    assert all(len(cells) == len(table.columns) for cells in table.rows)


def test_few_confusion_matrices_are_drawn(sections: Sections) -> None:
    (charts,) = (block for block in sections["confusion"] if isinstance(block, Charts))
    assert 0 < len(charts.charts) < MANY_ROWS
    assert f"The {len(charts.charts)} best methods" in charts.caption


def test_no_sentence_lists_more_than_a_reader_takes_in(sections: Sections, material: Material) -> None:
    labels = [row.label for row in material.comparison.rows]
    sentences = describe_verdict(material.comparison)
    sentences += [item for block in sections["analysis"] for item in block.items]
    for sentence in sentences:
        assert sum(sentence.count(label) for label in labels) <= MOST_LISTED + 1, sentence
    assert any(re.search(r"\d+ more", sentence) for sentence in sentences)


def test_labels_of_charts_fit_a_legend_and_differ(material: Material) -> None:
    labels = list(label_rows(material.comparison.rows).values())
    assert len(set(labels)) == ROWS and max(map(len, labels)) <= 24


def test_loss_curves_are_thinned_and_validation_is_shown_first(sections: Sections) -> None:
    live = sections["learning"][0].live
    training = [point for point in live.spec["data"]["values"] if not point["validation"]]
    assert len(training) <= MOST_POINTS_IN_ALL and len({point["run"] for point in training}) == SEEDS * (ROWS - 2)
    assert live.menus[0].options[0][0] == "validation"


def test_the_answers_of_the_best_rows_come_first(sections: Sections, material: Material) -> None:
    example = next(block for block in sections["examples"] if isinstance(block, Example))
    best = material.comparison.row(material.comparison.best_row)
    assert best is not None and example.answers[0].label == best.label and len(example.answers) == ROWS


def test_what_the_search_holds_is_limited_in_bytes(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = render_examples(material)[0]
    monkeypatch.setattr(examples, "MOST_PACKED", len(pack(browser)) // 2)  # type: ignore[arg-type]
    cut = render_examples(material)[0]
    assert len(pack(cut)) <= examples.MOST_PACKED  # type: ignore[arg-type]
    number = len(cut.data["examples"]["ids"])  # type: ignore[union-attr]
    assert 10 < number < 60 == cut.data["examples"]["in_all"]  # type: ignore[union-attr]
    for run, whole in zip(cut.data["runs"], browser.data["runs"], strict=True):  # type: ignore[union-attr]
        assert run == {**whole, "answers": whole["answers"][:number], "scores": whole["scores"][:number]}


def test_a_small_study_folds_nothing_that_it_compares() -> None:
    found = tables(
        {section.name: list(blocks) for section, blocks in render_sections(gather(Study(), *make_study_runs()))}
    )  # type: ignore[arg-type]
    assert not any(table.rest for table in found.values())
    assert not any(table.folded for name, table in found.items() if name not in ("common-settings", "provenance"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(*make_grid_study(), tmp_path_factory.mktemp("grids"))


@pytest.mark.slow
def test_the_page_weighs_at_most_five_megabytes_and_holds_every_row(page: Path) -> None:
    assert page.stat().st_size <= 5_000_000
    text = page.read_text(encoding="utf-8")
    assert len(read_table(text, "comparison")) == ROWS
    assert text.count('<details class="fold">') >= 8
    assert (page.parent / "README.md").stat().st_size < 120_000


@pytest.fixture
def phone(browser: Any, page: Path) -> Iterator[Any]:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    see_all(browser)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
@pytest.mark.browser
def test_on_a_phone_labels_are_whole_and_a_click_unfolds(phone: Any) -> None:
    assert phone.execute_script("return document.documentElement.scrollWidth") == 390
    text = "return [...document.querySelectorAll('#pairwise .canvas .role-axis-label text')].map(t => t.textContent)"
    labels = [label for label in phone.execute_script(text) if re.search("[a-z]", label)]
    assert len(set(labels)) == ROWS - 1 and not any("…" in label for label in labels)
    fold = phone.find_element("css selector", "#table-pairs details.fold")
    assert not fold.find_element("css selector", "table").is_displayed()
    fold.find_element("css selector", "summary").click()
    assert fold.find_element("css selector", "table").is_displayed()
    assert len(phone.find_elements("css selector", "#examples > .example:not([hidden])")) == 5
    assert not phone.find_element("css selector", "#examples > .example").is_displayed()  # the search replaces them
