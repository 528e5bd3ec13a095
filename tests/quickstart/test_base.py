"""The committed base: small, loadable, and able to copy names it has never seen."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hf_peft_compare.quickstart import BASE_FOLDER
from hf_peft_compare.quickstart.stories import draw_stories
from tools.pretrain_quickstart_base.pretraining import examine


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(BASE_FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(BASE_FOLDER).eval()


def test_base_is_small(model) -> None:
    assert model.num_parameters() <= 4_000_000
    assert sum(path.stat().st_size for path in BASE_FOLDER.rglob("*")) <= 8_000_000
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_tokenizer_is_like_gpt2s_and_splits_numbers_into_digits(tokenizer, model) -> None:
    assert tokenizer.eos_token == "<|endoftext|>"
    assert tokenizer.eos_token_id == model.config.eos_token_id == model.generation_config.eos_token_id
    assert len(tokenizer) == model.config.vocab_size
    assert [token for token in tokenizer.tokenize("of 407 cars") if token.isdigit()] == ["4", "0", "7"]


def test_any_text_survives_the_tokenizer(tokenizer) -> None:
    text = "Zoë's café\n- pays 12 €, he said.\n\nTL;DR: ok"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_base_copies_unseen_names_on_their_second_occurrence(tokenizer, model) -> None:
    """After a test story, one of its words is begun in a digest that did not ask for it: the other pieces follow."""
    hits: list[bool] = []
    for story in draw_stories(40, seed=0, world="test"):
        prompt_ids = tokenizer(f"{story.article}\nFilled:")["input_ids"]
        for name in ("place", "person", "number", "goods"):
            ids = tokenizer(f" {story.fillings[name]}")["input_ids"]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([prompt_ids + ids])).logits[0, len(prompt_ids) : -1]
            hits += (logits.argmax(-1) == torch.tensor(ids[1:])).tolist()
    assert len(hits) > 100
    assert sum(hits) / len(hits) > 0.8


def test_base_finds_the_facts_of_an_unseen_story(tokenizer, model) -> None:
    figures = examine(model, tokenizer=tokenizer, num_documents=100, world="test")
    assert all(figures[fact] > 0.7 for fact in ("place", "person", "number", "goods")), figures


def test_recipe_says_how_the_base_was_made() -> None:
    record = json.loads((BASE_FOLDER / "recipe.json").read_text())
    assert {"recipe", "figures", "seconds", "num_cores", "versions", "curve"} <= set(record)
    assert record["curve"][-1]["step"] == record["recipe"]["copying_steps"] + record["recipe"]["story_steps"]
