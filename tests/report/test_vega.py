"""The live charts hold the records' numbers, and their menus set what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from synthetic import Study, make_record, make_study_runs

from hf_peft_compare.report.blocks import Live, Material
from hf_peft_compare.report.vega import MOST_POINTS, live_differences, live_losses, live_scatter
from hf_peft_compare.report.writing import gather


@pytest.fixture(scope="module")
def material() -> Material:
    """A finished study of two floors and four trained rows."""
    return gather(Study(), *make_study_runs())  # type: ignore[arg-type]


def all_charts(material: Material) -> dict[str, Live]:
    return {
        "scatter": live_scatter(material, description="Scatter"),
        "losses": live_losses(material, material.comparison.rows, unit="nats per token", description="Losses"),
        "differences": live_differences(material, description="Differences"),
    }


def values(live: Live) -> list[dict[str, Any]]:
    return live.spec["data"]["values"]


def apply(spec: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Set what an option sets, as the page does; a path that leads nowhere raises."""
    chosen = json.loads(json.dumps(spec, allow_nan=False))
    for path, value in options.items():
        branch, keys = chosen, path.split(".")
        for key in keys[:-1]:
            branch = branch[int(key)] if isinstance(branch, list) else branch[key]
        branch[keys[-1]] = value
    return chosen


@pytest.mark.parametrize("name", ["scatter", "losses", "differences"])
def test_every_option_of_every_menu_compiles(material: Material, name: str) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    live = all_charts(material)[name]
    for menu in live.menus:
        first = {path: value for other in live.menus for path, value in other.options[0][1].items()}
        for _, options in menu.options:
            assert vl_convert.vegalite_to_vega(apply(live.spec, first | options))["marks"]


def test_points_hold_the_records_numbers_in_the_unit_of_their_axis(material: Material) -> None:
    live = live_scatter(material, description="")
    titles = [title for title, _ in live.menus[0].options]
    lora = next(value for value in values(live) if value["row"] == "LoRA")
    record = make_record("lora")
    assert record.parameters is not None
    assert lora[f"v{titles.index('Trainable parameters')}"] == record.parameters.trainable_params
    assert lora[f"v{titles.index('Peak GPU memory (MB)')}"] == record.memory.train_peak_allocated_bytes / 1e6  # type: ignore[operator]
    place = titles.index("ROUGE-L F")
    assert lora[f"v{place}"] == pytest.approx(record.results["rougeL_fmeasure"])
    assert lora[f"low{place}"] < lora[f"v{place}"] < lora[f"high{place}"]
    assert lora[f"t{place}"].startswith(f"{record.results['rougeL_fmeasure']:.3f} (")


def test_the_ranking_score_is_up_and_parameters_are_across_at_first(material: Material) -> None:
    across, up = live_scatter(material, description="").menus
    assert (across.options[0][0], up.options[0][0]) == ("Trainable parameters", "ROUGE-L F")
    assert {title for title, _ in across.options} == {title for title, _ in up.options}


def test_the_better_end_of_an_axis_is_the_scores_own(material: Material) -> None:
    across, up = (dict(menu.options) for menu in live_scatter(material, description="").menus)
    assert up["ROUGE-L F"]["params.1.value"] == 1 and up["Test loss"]["params.1.value"] == -1
    assert across["Train time (s)"]["params.0.value"] == 1 and across["ROUGE-L F"]["params.0.value"] == -1


def test_what_trains_nothing_has_no_cost_of_training(material: Material) -> None:
    floors = [value for value in values(live_scatter(material, description="")) if value["floor"]]
    assert [value["row"] for value in floors] == ["Lead-3", "Zero-shot"]
    assert all(value["v0"] is None and value["t0"] == "–" for value in floors)


def test_differences_are_there_in_both_directions(material: Material) -> None:
    found = {(value["row"], value["other"]): value for value in values(live_differences(material, description=""))}
    there, back = found["LoRA", "Lead-3"], found["Lead-3", "LoRA"]
    assert (there["mean"], there["low"], there["high"]) == (-back["mean"], -back["high"], -back["low"])
    pair = material.comparison.pair("lora", "lead")
    assert pair is not None and there["mean"] == pair.mean and there["told"] is pair.told_apart


def test_a_long_training_curve_is_thinned_and_validation_is_whole() -> None:
    history = [{"step": step, "epoch": step / 1000, "loss": 1 / step} for step in range(1, 5001)]
    validation = [{"step": step, "epoch": step / 1000, "eval_loss": 2.0} for step in range(500, 5001, 500)]
    records, predictions = make_study_runs(rows=("lora",))
    records["lora-seed0"] = make_record("lora", history=[*history, *validation, {"epoch": 9.0, "loss": float("nan")}])
    material = gather(Study(), records, predictions)  # type: ignore[arg-type]
    points = values(live_losses(material, material.comparison.finished_rows, unit="nats per token", description=""))
    assert sum(point["validation"] for point in points) == 10
    assert 100 < sum(not point["validation"] for point in points) <= MOST_POINTS
