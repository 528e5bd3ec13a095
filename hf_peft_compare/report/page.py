"""The HTML page's non-text parts: scripts allowed only by their hashes, packed examples, files to download."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from hf_peft_compare.report.blocks import Block, Browser, Charts, Live
from hf_peft_compare.report.charts.drawing import bundle_vega


def scripts_for(blocks: Sequence[Block]) -> list[Markup]:
    """Return the page's scripts: Vega if a chart needs it, then the page's own."""
    own = files("hf_peft_compare.report").joinpath("templates", "page.js").read_text(encoding="utf-8")
    is_live = any(isinstance(block, Charts) and block.live is not None for block in blocks)
    return [Markup(script) for script in ([bundle_vega().result()] if is_live else []) + [own]]


def policy(scripts: Sequence[str]) -> Markup:
    """Return the page's security policy: nothing is loaded, and only these scripts run."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    sources = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"
    sources += "; img-src data:"  # pictures are embedded too
    return Markup(f"{sources}; base-uri 'none'; form-action 'none'")


def live_json(live: Live) -> dict[str, Any]:
    """Return a live chart as JSON."""
    return asdict(live)


def pack(browser: Browser) -> str:
    """Compress the example browser's data to text for the page, where the DecompressionStream API unpacks it."""
    text = json.dumps(browser.data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), level=6)).decode()


def download_links(texts: Mapping[str, str]) -> dict[str, str]:
    """Return {file name: a data: address that holds the file}."""
    kinds = {"csv": "text/csv", "json": "application/json"}
    return {
        name: f"data:{kinds[name.rpartition('.')[2]]};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
        for name, text in texts.items()
    }
