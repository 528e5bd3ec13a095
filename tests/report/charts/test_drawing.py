"""Drawings are the same bytes for the same data, and every view that a menu offers can be drawn."""

from __future__ import annotations

import json

import pytest
from synthetic import Study, make_study_runs

from hf_peft_compare.report.blocks import Chart, Live, Material
from hf_peft_compare.report.charts.differences import difference_chart
from hf_peft_compare.report.charts.drawing import as_file, as_inline, draw_chart, first_view, with_settings
from hf_peft_compare.report.charts.losses import loss_chart
from hf_peft_compare.report.charts.scatter import scatter_chart
from hf_peft_compare.report.charts.style import INK, PAPER
from hf_peft_compare.report.writing import gather


@pytest.fixture(scope="module")
def material() -> Material:
    """A finished study of two floors and four trained rows."""
    return gather(Study(), *make_study_runs())  # type: ignore[arg-type]


def live_charts(material: Material) -> dict[str, Live]:
    return {
        "scatter": scatter_chart(material, description="Scatter").live,
        "losses": loss_chart(material, material.comparison.rows, unit="nats per token", description="Losses"),
        "differences": difference_chart(material, description="Differences"),
    }


@pytest.mark.parametrize("name", ["scatter", "losses", "differences"])
def test_every_option_of_every_menu_compiles(material: Material, name: str) -> None:
    import vl_convert

    live = live_charts(material)[name]
    for menu in live.menus:
        for _, options in menu.options:
            spec = json.loads(json.dumps(with_settings(first_view(live), options), allow_nan=False))
            assert vl_convert.vegalite_to_vega(spec)["marks"]


@pytest.mark.parametrize("name", ["scatter", "losses", "differences"])
def test_the_same_data_give_the_same_bytes(material: Material, name: str) -> None:
    chart = Chart(name=name, alt="", spec=first_view(live_charts(material)[name]))
    drawings = {draw_chart(chart) for _ in range(5)}
    ((svg, pdf),) = drawings
    assert svg.startswith("<svg") and pdf.startswith(b"%PDF") and b"Date" not in pdf


def test_settings_leave_the_specification_as_it_is() -> None:
    spec = {"layer": [{"mark": "line"}]}
    assert with_settings(spec, {"layer.0.mark": "point"}) == {"layer": [{"mark": "point"}]}
    assert spec == {"layer": [{"mark": "line"}]}


def test_a_setting_of_a_path_that_leads_nowhere_is_an_error() -> None:
    with pytest.raises(KeyError):
        with_settings({}, {"encoding.x.title": "x"})


def test_a_page_lends_its_colors_and_a_file_has_its_own() -> None:
    svg = f'<svg xmlns="x" viewBox="0 0 1 1"><path fill="{PAPER}" stroke="{INK}"/></svg>'
    assert as_file(svg) == '<svg xmlns="x" viewBox="0 0 1 1"><path fill="#ffffff" stroke="#1c2128"/></svg>'
    inline = as_inline(svg, alt='"a" <b>')
    assert inline.startswith('<svg viewBox="0 0 1 1" role="img" aria-label="&quot;a&quot; &lt;b&gt;"><path')
    assert 'fill="none" stroke="currentColor"' in inline
