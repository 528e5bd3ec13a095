"""Read tables back out of the pages, and look at pages with a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

ACTIVE = (
    "img, iframe, object, embed, link, form:not(.canvas > form), body style, script[src], "
    "svg [onload], [onerror], [href^='javascript']"
)
SCRIPTS = "return [...document.scripts].filter(script => !script.type).map(script => script.textContent)"


class TableReader(HTMLParser):
    """Collects the main text of every cell of one table, row by row."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.rows, self.depth, self.in_value = name, [], 0, False  # type: ignore[var-annotated]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "figure":
            self.depth = 1 if given.get("id") == f"table-{self.name}" else 0
        if self.depth and tag == "tr":
            self.rows.append([])
        if self.depth and tag == "span" and given.get("class") == "value":
            self.rows[-1].append("")
            self.in_value = True

    def handle_endtag(self, tag: str) -> None:
        self.in_value = self.in_value and tag != "span"

    def handle_data(self, data: str) -> None:
        if self.in_value:
            self.rows[-1][-1] += data


def read_table(page: str, name: str) -> dict[str, list[str]]:
    """Return {first cell: other cells} of a table of a page."""
    reader = TableReader(name)
    reader.feed(page)
    return {row[0]: row[1:] for row in reader.rows if row}


def without_scripts(page: str) -> str:
    """Leave out of a page what its scripts are and read."""
    return re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)


def find_problems(browser: Any, page: Path) -> list[str]:
    """Open a page, see all of it, and list everything that it should not have done or be."""
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(page.as_uri())
    see_all(browser)
    problems = [entry["message"] for entry in browser.get_log("browser")]
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    problems += [f"request: {url}" for url in requests if url != page.as_uri()]
    problems += browser.execute_script(f'return [...document.querySelectorAll("{ACTIVE}")].map(e => e.outerHTML)')
    policy = browser.find_element("css selector", "meta[http-equiv]").get_attribute("content")
    return problems + [script for script in browser.execute_script(SCRIPTS) if hash_of(script) not in policy]


def hash_of(script: str) -> str:
    """Return the hash by which a page's policy allows a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def see_all(browser: Any) -> None:
    """Scroll through a page until everything in it has come alive; a busy machine may skip what is seen too shortly."""

    def scroll() -> None:
        for section in browser.find_elements("css selector", "section"):
            browser.execute_script("arguments[0].scrollIntoView()", section)
            time.sleep(0.02)
        time.sleep(0.2)

    scroll()
    for needed, made in (("script.live-chart", ".canvas svg"), ("script.packed", ".found")):
        wait_for(browser, f"return count('{needed}') == count('{made}')", meanwhile=scroll)


def wait_for(
    browser: Any, condition: str, *, seconds: float = 60, meanwhile: Callable[[], object] = lambda: time.sleep(0.05)
) -> None:
    """Wait until a condition in JavaScript holds; `count(selector)` counts elements."""
    ends = time.monotonic() + seconds
    while not browser.execute_script(
        "const count = (selector) => document.querySelectorAll(selector).length;" + condition
    ):
        assert time.monotonic() < ends, f"still not: {condition}"
        meanwhile()
