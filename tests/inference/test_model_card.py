"""Model cards: what the hub and a reader want to know, and nothing that is not so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from finished_runs import make_config, make_record
from huggingface_hub import ModelCard

from hf_peft_compare.inference.model_card import model_card


def card_of(base: Path | str, row: str, *, plain: bool, **changes: Any) -> Any:
    config = make_config(Path("unused"), row, **{"model_name_or_path": str(base), **changes})
    return ModelCard(model_card(make_record(config), config, name="me/tiny", plain=plain))


def test_a_card_says_what_the_hub_wants_to_know() -> None:
    card = card_of("openai-community/gpt2", "lora", plain=False, dataset="abisee/cnn_dailymail")
    assert card.data.base_model == "openai-community/gpt2"
    assert card.data.datasets == ["abisee/cnn_dailymail"]
    assert (card.data.library_name, card.data.pipeline_tag) == ("peft", "text-generation")
    assert card.data.model_name == "tiny"
    results = {result.metric_type: result.metric_value for result in card.data.eval_results or []}
    assert results == {"rougeL_fmeasure": 0.25, "test_loss": 2.5}
    assert card_of("openai-community/gpt2", "full", plain=True).data.library_name == "transformers"


LABELED = {"labels": ["no", "yes"]}


@pytest.mark.parametrize(
    ("task", "on_the_hub", "pipeline"),
    [
        ({"name": "summarization"}, "summarization", "text-generation"),
        ({"name": "instruction_tuning"}, "text-generation", "text-generation"),
        ({"name": "question_answering"}, "question-answering", "text-generation"),
        ({"name": "sequence_classification", **LABELED}, "text-classification", "text-classification"),
        ({"name": "instructed_classification", **LABELED}, "text-classification", "text-generation"),
    ],
)
def test_tasks_have_the_names_that_the_hub_knows(task: dict[str, Any], on_the_hub: str, pipeline: str) -> None:
    card = card_of("openai-community/gpt2", "lora", plain=False, task=task)
    assert {result.task_type for result in card.data.eval_results or []} == {on_the_hub}
    assert card.data.pipeline_tag == pipeline


def test_metrics_are_those_that_the_study_chose() -> None:
    task = {"name": "instruction_tuning", "metrics": ["exact_match", {"numeric_answer": {"tolerance": 0.01}}]}
    assert card_of("openai-community/gpt2", "lora", plain=False, task=task).data.metrics == [
        "exact_match",
        "numeric_answer",
    ]


def test_what_an_encoder_decoder_writes_is_generated_text_to_the_hub(tiny_t5: Path) -> None:
    """The Hub has given up the task text2text-generation, and transformers its pipeline."""
    assert card_of(tiny_t5, "full", plain=True).data.pipeline_tag == "text-generation"


def test_a_card_tells_a_reader_results_settings_and_origin() -> None:
    text = card_of("openai-community/gpt2", "lora", plain=False).text
    assert text.lstrip().startswith("# LoRA on openai-community/gpt2")
    assert "| ROUGE-L F | 0.250 |" in text
    assert "50 of 1,000 parameters (5 %)" in text
    assert '"learning_rate": 5e-05' in text and '"r": 2' in text and '"prompt_suffix": " TL;DR:"' in text
    assert '"commit": "0123abc"' in text
    assert 'from_pretrained("openai-community/gpt2")' in text and 'PeftModel.from_pretrained(base, "me/tiny")' in text


def test_what_is_not_on_the_hub_is_not_claimed_to_be(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").touch()
    local = card_of(tmp_path, "lora", plain=True, dataset=str(tmp_path / "rows.csv"))
    assert local.data.base_model is None and local.data.datasets is None
    assert card_of("embedded", "lora", plain=False).data.base_model is None
    assert card_of("openai-community/gpt2", "lora", plain=True, dataset="embedded/statements").data.datasets is None
    random = card_of("openai-community/gpt2", "lora", plain=False, init="config")
    assert random.data.base_model is None and "load_run(" in random.text
