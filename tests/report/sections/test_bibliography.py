"""The bibliography names the papers of what ran, each once, and nothing that is not known."""

from __future__ import annotations

from synthetic import Study, make_record, make_study_runs

from hf_peft_compare.report.blocks import Bullets
from hf_peft_compare.report.sections.bibliography import render_bibliography
from hf_peft_compare.report.writing import gather


def papers(**config: object) -> list[str]:
    """Return the papers of one LoRA run whose config has these settings."""
    own = make_record("lora").config
    record = make_record("lora", config={**own, **config})
    (block,) = render_bibliography(gather(Study(), {"lora-seed0": record}, {}))  # type: ignore[arg-type]
    assert isinstance(block, Bullets)
    return list(block.items)


def test_papers_of_method_model_data_and_score_stand_once_in_order() -> None:
    records, predictions = make_study_runs()
    (block,) = render_bibliography(gather(Study(), records, predictions))  # type: ignore[arg-type]
    assert isinstance(block, Bullets)
    found = [paper.split(",")[0] for paper in block.items]
    assert found == sorted(set(found), key=str.casefold)
    assert {"Hu et al. (2021)", "Radford et al. (2019)", "See et al. (2017)", "Lin (2004)"} <= set(found)


def test_what_is_not_known_is_left_out() -> None:
    found = papers(model_name_or_path="some/model", dataset="tickets.csv")
    assert [paper.split(",")[0] for paper in found] == ["Hu et al. (2021)", "Lin (2004)"]


def test_the_longer_name_of_a_model_is_not_taken_for_another() -> None:
    found = "".join(papers(model_name_or_path="sentence-transformers/all-MiniLM-L6-v2", dataset="nyu-mll/multi_nli"))
    assert "MiniLM: Deep" in found and "Williams et al. (2018)" in found and "RoBERTa" not in found


def test_a_study_without_runs_has_none() -> None:
    assert render_bibliography(gather(Study(), {}, {})) == []  # type: ignore[arg-type]
