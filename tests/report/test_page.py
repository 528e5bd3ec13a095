"""What the page does in a real browser: sorts, draws, filters, prints, and asks nobody for anything."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import find_problems, see_all, wait_for
from synthetic import TITLES, Study, make_study_runs

from hf_peft_compare.report import write_report

WIDE = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}


@pytest.fixture
def page(browser: Any, full: Path) -> Iterator[Any]:
    """The browser with a finished study's page in it, all of it seen once."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", WIDE)
    browser.get((full / "index.html").as_uri())
    see_all(browser)
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def first_cells(page: Any, table: str) -> list[str]:
    cells = page.find_elements("css selector", f"#table-{table} tbody th .value")
    return [cell.text for cell in cells]


def header(page: Any, table: str, title: str) -> Any:
    buttons = page.find_elements("css selector", f"#table-{table} thead button")
    return next(button for button in buttons if title in button.get_attribute("textContent"))


def choose(page: Any, section: str, title: str, option: str) -> None:
    """Choose an option of a menu."""
    label = next(
        label
        for label in page.find_elements("css selector", f"#{section} .menus label")
        if label.text.startswith(title)
    )
    next(o for o in label.find_elements("css selector", "option") if o.text == option).click()


def drawn_text(page: Any, section: str) -> str:
    return page.find_element("css selector", f"#{section} .canvas svg").get_attribute("textContent")


def test_numbers_sort_as_numbers_and_the_unknown_stays_last(page: Any) -> None:
    button = header(page, "comparison", "Trainable")
    button.click()
    assert first_cells(page, "comparison")[:4] == ["Full fine-tuning", "Last layers", "LoRA", "Prompt tuning"]
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    button.click()
    assert first_cells(page, "comparison")[:4] == ["Prompt tuning", "LoRA", "Last layers", "Full fine-tuning"]
    assert set(first_cells(page, "comparison")[4:]) == {"Lead-3", "Zero-shot"}  # they have no such number


def test_a_table_sorts_by_keyboard_and_by_words(page: Any) -> None:
    header(page, "comparison", "Method").send_keys("\ue007")  # enter
    assert first_cells(page, "comparison") == sorted(TITLES.values())


def test_negative_numbers_and_percentages_sort(page: Any) -> None:
    header(page, "pairs", "Difference").click()
    cells = page.find_elements("css selector", "#table-pairs tbody td:nth-child(3) .value")
    shown = [float(cell.text.replace("−", "-")) for cell in cells]
    assert shown == sorted(shown, reverse=True)


def test_axes_are_chosen_among_costs_and_scores(page: Any) -> None:
    choose(page, "efficiency", "Across", "Train time (s)")
    choose(page, "efficiency", "Up", "Entity recall")
    wait_for(page, "return document.querySelector('#efficiency .canvas').textContent.includes('Entity recall')")
    assert "Train time (s)" in drawn_text(page, "efficiency")
    assert "Trainable parameters" not in drawn_text(page, "efficiency")
    choose(page, "efficiency", "Across", "Test loss")
    wait_for(page, "return document.querySelector('#efficiency .canvas').textContent.includes('Test loss')")


def test_hovering_shows_the_row(page: Any) -> None:
    from selenium.webdriver import ActionChains

    page.execute_script("document.querySelector('#efficiency').scrollIntoView()")
    points = page.find_elements("css selector", "#efficiency .canvas .mark-symbol.role-mark path")
    assert len(points) == 4  # those that train something; floors are lines
    ActionChains(page).move_to_element(points[0]).perform()
    wait_for(page, "return count('#vg-tooltip-element.visible')")
    shown = page.find_element("id", "vg-tooltip-element").text
    assert "Method" in shown and "ROUGE-L F" in shown and any(title in shown for title in TITLES.values())


def test_differences_are_shown_to_any_row(page: Any) -> None:
    assert "minus that of Full fine-tuning" in drawn_text(page, "pairwise")
    choose(page, "pairwise", "Compare with", "LoRA")
    wait_for(page, "return document.querySelector('#pairwise .canvas').textContent.includes('minus that of LoRA')")


def test_loss_curves_can_be_validation_only(page: Any) -> None:
    lines = "#learning .canvas .mark-line path[d^='M']"
    before = len(page.find_elements("css selector", lines))
    choose(page, "learning", "Loss", "validation")
    wait_for(page, f"return count({json.dumps(lines)}) == {before // 2}")


def shown_examples(page: Any) -> list[str]:
    return [title.text for title in page.find_elements("css selector", ".found .example h3")]


def status(page: Any) -> str:
    return page.find_element("css selector", "#examples [role=status]").text


def test_examples_are_found_by_text(page: Any) -> None:
    page.find_element("css selector", "#examples input").send_keys("PLAN 17 for")
    wait_for(page, "return count('.found .example') == 1")
    assert shown_examples(page) == ["Example example-17"]


def test_examples_are_filtered_by_who_is_better(page: Any, full: Path) -> None:
    scores = {}
    for row in ("full", "lead"):
        lines = (full / "records" / f"{row}-seed0" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        scores[row] = [round(json.loads(line)["scores"]["rougeL_fmeasure"], 4) for line in lines]
    expected = [f"Example example-{n}" for n in range(40) if scores["lead"][n] > scores["full"][n]]
    choose(page, "examples", "Where", "Lead-3")
    choose(page, "examples", "beats", "Full fine-tuning")
    assert shown_examples(page) == expected[:5]
    assert f" of {len(expected)} (40 in all)" in status(page) or status(page).startswith(f"1 to {len(expected)} of")


def test_examples_are_ordered_by_disagreement_and_by_difficulty(page: Any) -> None:
    def all_scores() -> list[list[float]]:
        examples = page.find_elements("css selector", ".found .example")
        notes = [example.find_elements("css selector", ".answer:not(.reference) h4 span") for example in examples]
        return [[float(note.text.split()[-1]) for note in found] for found in notes]

    choose(page, "examples", "Order", "most disagreement first")
    spreads = [max(scores) - min(scores) for scores in all_scores()]
    assert spreads == sorted(spreads, reverse=True)
    choose(page, "examples", "Order", "hardest first")
    means = [sum(scores) for scores in all_scores()]
    assert means == sorted(means)


def test_pages_of_examples_are_turned(page: Any) -> None:
    assert status(page) == "1 to 5 of 40 (40 in all)"
    before, (back, on) = shown_examples(page), page.find_elements("css selector", ".pager button")
    assert not back.is_enabled()
    on.click()
    assert status(page) == "6 to 10 of 40 (40 in all)" and not set(before) & set(shown_examples(page))


def test_answers_that_agree_are_separated_from_those_that_differ(browser: Any, tmp_path: Path) -> None:
    records, predictions = make_study_runs(rows=("lora", "full"))
    for lines in predictions.values():
        lines[3]["prediction"] = "The same."
    browser.get(write_report(Study(), records, predictions, tmp_path).as_uri())
    see_all(browser)
    choose(browser, "examples", "Show", "where answers agree")
    assert shown_examples(browser) == ["Example example-3"]
    choose(browser, "examples", "Show", "where answers differ")
    assert status(browser) == "1 to 5 of 39 (40 in all)"


def test_every_seed_can_be_read(browser: Any, big: Path) -> None:
    browser.get((big / "index.html").as_uri())
    see_all(browser)
    before = [note.text for note in browser.find_elements("css selector", ".found h4 span")]
    choose(browser, "examples", "Seed", "4")
    assert [note.text for note in browser.find_elements("css selector", ".found h4 span")] != before


def test_a_large_study_loads_within_three_seconds_and_answers_at_once(browser: Any, big: Path) -> None:
    begun = time.monotonic()
    browser.get((big / "index.html").as_uri())
    assert time.monotonic() - begun < 3
    begun = time.monotonic()
    see_all(browser)
    assert time.monotonic() - begun < 10
    assert status(browser).endswith("of 3000 (3000 in all)")
    assert len(browser.find_elements("css selector", ".found .answer")) == 5 * 11  # only what is shown is there
    begun = time.monotonic()
    choose(browser, "examples", "Order", "most disagreement first")
    assert time.monotonic() - begun < 2
    assert (big / "index.html").stat().st_size < 5_000_000


def test_a_large_study_asks_nobody_for_anything(browser: Any, big: Path) -> None:
    assert find_problems(browser, big / "index.html") == []


def test_without_scripts_tables_drawings_and_examples_are_there(browser: Any, full: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((full / "index.html").as_uri())
        assert browser.find_elements("css selector", ".canvas, thead button, .found, select") == []
        for selector in (
            "#table-comparison",
            "#figure-quality_time svg",
            "#figure-differences svg",
            "#examples .example",
        ):
            assert browser.find_element("css selector", selector).is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_print_has_the_drawings_and_no_controls(page: Any) -> None:
    assert not page.find_element("css selector", "#figure-quality_time").is_displayed()
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF") and len(printed) > 50_000
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert page.find_element("css selector", "#figure-quality_time svg").is_displayed()
    assert page.find_element("css selector", "#examples > .example").is_displayed()
    for selector in (".menus", ".canvas", ".browser", ".downloads", "nav"):
        assert not page.find_element("css selector", selector).is_displayed()


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_page_and_charts_follow_the_readers_scheme(page: Any, scheme: str, dark: bool) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    title = "[...document.querySelectorAll('#learning .canvas text')].find(text => text.textContent == 'epoch')"
    for color, is_light in (("getComputedStyle(document.body).color", dark), (f"{title}?.getAttribute('fill')", dark)):
        wait_for(page, f"return ({BRIGHTNESS})({color}) {'>' if is_light else '<'} 128")


BRIGHTNESS = """(color) => {
  const context = document.createElement('canvas').getContext('2d');
  context.fillStyle = color ?? '#808080';
  return parseInt(context.fillStyle.slice(1, 3), 16);
}"""


def test_downloads_hold_the_files(page: Any, full: Path) -> None:
    for link in page.find_elements("css selector", ".downloads a"):
        name, address = link.text, link.get_attribute("href")
        assert link.get_attribute("download").endswith(name)
        held = base64.b64decode(address.split("base64,")[1]).decode()
        assert held == (full / name).read_text(encoding="utf-8")


def test_json_holds_rows_pairs_and_verdict(full: Path) -> None:
    results = json.loads((full / "results.json").read_text(encoding="utf-8"))
    lines = list(csv.DictReader(io.StringIO((full / "results.csv").read_text(encoding="utf-8"))))
    by_row = {row["row"]: row for row in results["rows"]}
    for line in lines:
        assert float(line["rougeL_fmeasure"]) == by_row[line["row"]]["figures"]["rougeL_fmeasure"]
    assert results["best_row"] in results["best_set"]
    assert "the best row is one of these" in results["verdict"][1] or "the best row is Full" in results["verdict"][1]
    assert len(results["pairs"]) == 15 and all(
        pair["interval"]["low"] < pair["interval"]["high"] for pair in results["pairs"]
    )


def test_the_policy_allows_no_other_script(browser: Any, full: Path, tmp_path: Path) -> None:
    text = (full / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(text.replace("</main>", "<script>document.title = 'owned'</script></main>"))
    browser.get((tmp_path / "index.html").as_uri())
    assert browser.title != "owned"
    browser.execute_script("document.body.setAttribute('onclick', \"document.title = 'owned'\")")
    browser.find_element("tag name", "h1").click()
    assert browser.title != "owned"
