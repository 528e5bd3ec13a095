"""Hostile text stays text: in a browser, in Markdown and in LaTeX."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pages import find_problems, without_scripts
from synthetic import make_record

from hf_peft_compare.comparison.rows import RunRow, figures_of
from hf_peft_compare.report.results_csv import render_csv


@pytest.mark.parametrize("name", ["full", "half", "hostile"])
def test_page_does_nothing_but_show_text(browser: Any, request: pytest.FixtureRequest, name: str) -> None:
    assert find_problems(browser, request.getfixturevalue(name) / "index.html") == []
    assert browser.title != "owned"
    assert browser.find_element("tag name", "footer").is_displayed()


@pytest.mark.parametrize("name", ["full", "half", "hostile"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_never_scrolls_sideways(browser: Any, request: pytest.FixtureRequest, name: str, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get((request.getfixturevalue(name) / "index.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_page_shows_the_hostile_words_as_words(browser: Any, hostile: Path) -> None:
    browser.get((hostile / "index.html").as_uri())
    shown = browser.find_element("tag name", "h1").text
    assert "<script>document.title='owned'" in shown and "{{ 7 * 7 }}" in shown and r"\input{/etc/passwd}" in shown
    assert "more characters cut" in browser.find_element("tag name", "main").get_attribute("textContent")


@pytest.mark.parametrize("planted", ["<script>1</script>", "<img src='http://attacker.invalid/x.png'>"])
def test_the_check_above_notices_what_is_not_escaped(browser: Any, full: Path, tmp_path: Path, planted: str) -> None:
    page = tmp_path / "index.html"
    page.write_text((full / "index.html").read_text(encoding="utf-8").replace("</main>", planted + "</main>"))
    assert find_problems(browser, page)


@pytest.mark.parametrize("name", ["full", "half", "hostile"])
def test_article_compiles(pdflatex: str, request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    shutil.copytree(request.getfixturevalue(name), tmp_path / "report", ignore=shutil.ignore_patterns("records"))
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path / "report", capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "/etc/passwd)" not in done.stdout and "(/etc/passwd" not in done.stdout
    assert (tmp_path / "report" / "report.pdf").stat().st_size > 20_000


def test_tables_compile_in_a_document_of_their_own(pdflatex: str, full: Path, tmp_path: Path) -> None:
    shutil.copy(full / "tables.tex", tmp_path)
    preamble = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}"
    (tmp_path / "mine.tex").write_text(preamble + r"\begin{document}\input{tables.tex}\end{document}")
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "mine.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]


def test_markdown_has_no_live_markup(hostile: Path) -> None:
    whole = (hostile / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"^(`{3,})text\n.*?\n\1$", "", whole, flags=re.DOTALL | re.MULTILINE)  # shown as it is
    assert text != whole
    assert "<script" not in text and "<img" not in text and "<style" not in text and "[x](javascript" not in text
    assert text.count("<details>") == text.count("</details>")


def test_pages_have_no_control_characters(hostile: Path) -> None:
    for name in ("index.html", "README.md", "tables.tex", "report.tex"):
        text = without_scripts((hostile / name).read_text(encoding="utf-8"))
        assert [character for character in set(text) if ord(character) < 32 and character != "\n"] == []
        assert "\u202e" not in text


def test_very_long_texts_are_cut_and_say_so(hostile: Path) -> None:
    assert "A" * 30_000 not in (hostile / "index.html").read_text(encoding="utf-8")
    assert len(without_scripts((hostile / "index.html").read_text(encoding="utf-8"))) < 2_000_000


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_spreadsheet_cells_do_not_begin_formulas_and_numbers_stay_numbers(start: str) -> None:
    formula = f"{start}1+1|'cmd'!A0\r=2"
    record = replace(make_record("lora"), row=formula, method=formula, config_hash=formula, results={formula: -0.5})
    run = RunRow(row=formula, seed=0, status=formula, error=formula, record=record, figures=figures_of(record))
    head, line = csv.reader(io.StringIO(render_csv([run]), newline=""))
    for cell in (*head, *line):
        assert not cell.startswith(start) or cell == "-0.5"
    inert = f"'{formula}".replace("\r", "\n")
    assert line[head.index(inert)] == "-0.5" and line[0] == inert
