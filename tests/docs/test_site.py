"""The built site: it builds without a warning, loads nothing from other hosts, and can be read as files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from docs_pages import ROOT
from filelock import FileLock

import hf_peft_compare
from hf_peft_compare.core.registry import METHODS

pytestmark = pytest.mark.slow
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}
PHONE = 390  # pixels
WIDE = ["index", "reference/study", "reference/methods", "reference/python", "how-to/cluster/slurm", "results"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The site, built once for all processes that run tests."""
    pytest.importorskip("mkdocstrings", reason="the site needs the extra `docs`")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "site"
    done_before = folder.with_suffix(".done")
    with FileLock(f"{folder}.lock"):
        if not done_before.is_file():
            command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
            environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            done_before.touch()
    return folder


class Loads(HTMLParser):
    """The addresses that a browser loads by itself with a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in LOADED and values.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(values.get(LOADED[tag]) or "")


def pages(site: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(site.rglob("*.html")):
        yield str(path.relative_to(site)), path.read_text(encoding="utf-8")


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    found = {(name, url) for name, text in pages(site) for url in Loads(text).found}
    assert len(found) > 100 and not {(name, url) for name, url in found if url.startswith(("http", "//"))}


def test_all_that_the_package_exports_has_an_address(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    missing = {name for name in hf_peft_compare.__all__ if f'id="hf_peft_compare.{name}"' not in page}
    assert missing == {name for name in hf_peft_compare.__all__ if name.startswith("register_")}
    assert 'id="hf_peft_compare.core.registry.Registry.register"' in page


def test_pages_show_the_files_that_they_include(site: Path) -> None:
    """A formatter may take the line that includes a file for code."""
    for page in ("tutorials/adding-a-method", "get-started/python"):
        text = (site / f"{page}.html").read_text()
        assert "--8" not in text and "8 &lt;" not in text
    assert "BitFitSettings" in (site / "tutorials/adding-a-method.html").read_text()


def test_formulas_are_mathematics(site: Path) -> None:
    page = (site / "reference" / "methods.html").read_text(encoding="utf-8")
    assert page.count("<math ") >= len(METHODS.entries) and "$<code>" not in page


@pytest.mark.browser
def test_a_page_opened_as_a_file_can_be_searched(site: Path, browser: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    browser.set_window_size(1200, 900)
    browser.get((site / "index.html").as_uri())
    field = browser.find_element("css selector", ".md-search__input")
    field.click()
    field.send_keys("early_stopping_patience")
    results = WebDriverWait(browser, 20).until(lambda b: b.find_elements("css selector", ".md-search-result__item"))
    assert "Study file" in results[0].text


@pytest.mark.browser
@pytest.mark.parametrize("name", WIDE)
def test_a_phone_shows_pages_without_moving_them_sideways(name: str, site: Path, browser: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": PHONE, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    browser.get((site / f"{name}.html").as_uri())
    fits = f"return document.documentElement.scrollWidth <= {PHONE}"
    try:  # a page may move while it is laid out
        WebDriverWait(browser, 10).until(lambda b: b.execute_script(fits), f"{name} is wider than {PHONE} pixels")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
