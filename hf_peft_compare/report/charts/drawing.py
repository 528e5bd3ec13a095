"""Render Vega-Lite specifications as SVG and PDF, byte-identical for the same data, and bundle Vega for the page."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from html import escape
from typing import Any

from hf_peft_compare.report.blocks import Chart, Live
from hf_peft_compare.report.charts.style import INK, PAPER, Spec

BUNDLE = (
    "import sys, vl_convert as v; sys.stdout.buffer.write(v.javascript_bundle('window.vegaEmbed = vegaEmbed').encode())"
)
_REFERENCES = re.compile(rb"(/(?:XObject|ExtGState|Font|Pattern|Shading) <<\n)((?: +/\w+ \d+ 0 R\n)+)")


@cache
def bundle_vega() -> Future[str]:
    """Start bundling Vega, Vega-Lite and Vega-Embed into one script that needs no network.

    This takes one or two seconds of one core, so it runs in its own process while the rest of the report is built.
    """
    pool = ThreadPoolExecutor(1)
    how: Any = {"check": True, "encoding": "utf-8", "start_new_session": True}  # where no Ctrl-C makes it complain
    made = pool.submit(lambda: subprocess.run([sys.executable, "-c", BUNDLE], stdout=subprocess.PIPE, **how).stdout)
    pool.shutdown(wait=False)
    return made


def with_settings(spec: Mapping[str, object], settings: Mapping[str, object]) -> Spec:
    """Return a copy of a specification with {dotted path: value} set, as the page's menus do."""
    copied = copy.deepcopy(dict(spec))
    for path, value in settings.items():
        branch: Any = copied
        *keys, last = path.split(".")
        for key in keys:
            branch = branch[int(key)] if isinstance(branch, list) else branch[key]
        branch[last] = value
    return copied


def first_view(live: Live) -> Spec:
    """Return the specification of a live chart with the first option of each menu."""
    settings = {path: value for menu in live.menus for path, value in menu.options[0][1].items()}
    return with_settings(live.spec, settings)


def draw_chart(chart: Chart) -> tuple[str, bytes]:
    """Render a chart and return its SVG, still in the placeholder colors, and its PDF."""
    import vl_convert

    # Hidden roles and descriptions of each mark are for live charts; a static chart is described as a whole.
    svg = vl_convert.vegalite_to_svg(with_settings(chart.spec, {"config.aria": False}), allowed_base_urls=[])
    pdf = vl_convert.svg_to_pdf(as_file(svg))
    # The writer lists references in random order; sorting them keeps their length in bytes.
    return svg, _REFERENCES.sub(lambda match: match[1] + b"".join(sorted(match[2].splitlines(True))), pdf)


def as_file(svg: str) -> str:
    """Return an SVG for a separate file: dark on white, legible on any page."""
    return svg.replace(PAPER, "#ffffff").replace(INK, "#1c2128")


def as_inline(svg: str, *, alt: str) -> str:
    """Return an SVG for the page: transparent, with lines and text in the page's text color."""
    drawing = svg[svg.index("<svg") :].replace(PAPER, "none").replace(INK, "currentColor")
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        lambda match: f'<svg viewBox="{match[1]}" role="img" aria-label="{escape(alt)}">',
        drawing,
        count=1,
    )
