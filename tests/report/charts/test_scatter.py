"""The scatter plot holds the records' numbers; a printed one is the live one with two axes chosen."""

from __future__ import annotations

import pytest
from synthetic import Study, make_record, make_study_runs

from hf_peft_compare.report.blocks import Live, Material
from hf_peft_compare.report.charts.scatter import scatter_chart
from hf_peft_compare.report.writing import gather


@pytest.fixture(scope="module")
def material() -> Material:
    """A finished study of two floors and four trained rows."""
    return gather(Study(), *make_study_runs())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def live(material: Material) -> Live:
    return scatter_chart(material, description="Scatter").live


def test_points_hold_the_records_numbers_in_the_unit_of_their_axis(live: Live) -> None:
    titles = [title for title, _ in live.menus[0].options]
    lora = next(value for value in live.spec["data"]["values"] if value["row"] == "LoRA")
    record = make_record("lora")
    assert record.parameters is not None
    assert lora[f"v{titles.index('Trainable parameters')}"] == record.parameters.trainable_params
    assert lora[f"v{titles.index('Peak GPU memory (MB)')}"] == record.memory.train_peak_allocated_bytes / 1e6  # type: ignore[operator]
    place = titles.index("ROUGE-L F")
    assert lora[f"v{place}"] == pytest.approx(record.results["rougeL_fmeasure"])
    assert lora[f"low{place}"] < lora[f"v{place}"] < lora[f"high{place}"]
    assert lora[f"t{place}"].startswith(f"{record.results['rougeL_fmeasure']:.3f} (")


def test_the_ranking_score_is_up_and_parameters_are_across_at_first(live: Live) -> None:
    across, up = live.menus
    assert (across.options[0][0], up.options[0][0]) == ("Trainable parameters", "ROUGE-L F")
    assert {title for title, _ in across.options} == {title for title, _ in up.options}


def test_the_better_end_of_an_axis_is_the_scores_own(live: Live) -> None:
    across, up = (dict(menu.options) for menu in live.menus)
    assert up["ROUGE-L F"]["params.1.value"] == 1 and up["Test loss"]["params.1.value"] == -1
    assert across["Train time (s)"]["params.0.value"] == 1 and across["ROUGE-L F"]["params.0.value"] == -1


def test_what_trains_nothing_has_no_cost_of_training(live: Live) -> None:
    floors = [value for value in live.spec["data"]["values"] if value["floor"]]
    assert [value["row"] for value in floors] == ["Lead-3", "Zero-shot"]
    assert all(value["v0"] is None and value["t0"] == "–" for value in floors)


def test_a_printed_plot_is_the_live_one_with_two_axes_chosen(material: Material) -> None:
    chart = scatter_chart(material, description="")
    spec = chart.printed(across="train_seconds", up="rougeL_fmeasure")
    assert (spec["encoding"]["x"]["title"], spec["encoding"]["y"]["title"]) == ("Train time (s)", "ROUGE-L F")
    assert spec["data"] == chart.live.spec["data"] and spec["layer"][1:] == chart.live.spec["layer"][1:]
