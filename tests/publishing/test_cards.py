"""Cards: what the Hub's own parser reads of them, and what a reader learns."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_dataset
from hub_stand_in import BASE_ID
from huggingface_hub import DatasetCard, ModelCard, SpaceCard, metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results

from hf_peft_compare.publishing.cards import dataset_card, space_card
from hf_peft_compare.publishing.repositories import PublishOptions
from hf_peft_compare.results.result import Result


def test_a_models_card_has_base_scores_and_license_for_the_hub(tree: Path) -> None:
    path = tree / "models/anna/tiny-lora/README.md"
    data = ModelCard.load(path).data
    assert (data.base_model, data.library_name, data.license) == (BASE_ID, "peft", "mit")
    assert data.metrics == ["rouge", "entity_recall"] and data.datasets is None  # the data is embedded
    name, results = model_index_to_eval_results(metadata_load(path)["model-index"])
    assert name == "tiny-lora" and {r.metric_type: r.metric_value for r in results}["rougeL_fmeasure"] == 0.25
    assert {(r.task_type, r.source_url) for r in results} == {
        ("summarization", "https://huggingface.co/datasets/anna/tiny")
    }
    assert ModelCard.load(tree / "models/anna/tiny-full/README.md").data.library_name == "transformers"


def test_a_models_card_tells_seeds_intervals_costs_and_how_it_was_chosen(tree: Path, study: Path) -> None:
    text = ModelCard.load(tree / "models/anna/tiny-lora/README.md").text
    interval = Result.read(study)["lora"].row.intervals["rougeL_fmeasure"]
    assert f"| 0.250 | {interval.low:.3f} to {interval.high:.3f} |" in text
    assert "method lora, seed 1, which has the lowest validation loss of 2 seeds" in text
    assert "mean of 2 seeds" in text and f"intervals are {interval.scope}" in text
    assert "| **LoRA** |" in text and "| Zero-shot |" in text and "| Train time (s) | 12 |" in text
    assert "the only finished seed" in ModelCard.load(tree / "models/anna/tiny-full/README.md").text


def test_the_records_card_shows_the_results_in_the_viewer(tree: Path, tmp_path: Path) -> None:
    folder = tree / "datasets/anna/tiny"
    data = DatasetCard.load(folder / "README.md").data.to_dict()
    assert data["license"] == "mit" and data["task_categories"] == ["summarization"] and data["pretty_name"] == "Tiny"
    shown = load_dataset(str(folder), "results", split="train", cache_dir=str(tmp_path))
    assert len(shown) == 8 and set(shown["row"]) == {
        "lora",
        "soft",
        "full",
        "zero_shot",
    }  # two seeds of each, run or not
    assert "rougeL_fmeasure" in shown.column_names


def test_the_spaces_card_makes_it_static(tree: Path) -> None:
    data = SpaceCard.load(tree / "spaces/anna/tiny/README.md").data.to_dict()
    assert (data["sdk"], data["app_file"], data["datasets"]) == ("static", "index.html", ["anna/tiny"])
    assert data["models"] == ["anna/tiny-lora", "anna/tiny-soft", "anna/tiny-full"]


@pytest.mark.parametrize("place", ["models/anna/tiny-lora", "datasets/anna/tiny", "spaces/anna/tiny"])
def test_every_card_names_the_license_that_was_given(place: str, tree: Path) -> None:
    assert metadata_load(tree / place / "README.md")["license"] == "mit"


def test_a_card_names_no_license_where_none_was_given(study: Path) -> None:
    result, options = Result.read(study), PublishOptions(to="anna/tiny")
    for card in (dataset_card(result.study, result.comparison, options), space_card(result.study, options)):
        assert "license" not in card.split("---")[1]
