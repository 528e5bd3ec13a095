"""The code in a card runs, and prints what this package predicts."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from finished_runs import make_config
from hub_stand_in import BASE_ID
from huggingface_hub import ModelCard
from transformers import AutoTokenizer

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.inference.prediction import predict_texts
from hf_peft_compare.publishing.usage import TEXT, TEXT_PAIR, usage_code


@pytest.mark.parametrize(("row", "seed"), [("lora", 1), ("soft", 0), ("full", 0)])
def test_the_code_of_a_card_prints_what_predict_does(row: str, seed: int, study: Path, base: Path, tree: Path) -> None:
    folder = tree / f"models/anna/tiny-{row}"
    code = ModelCard.load(folder / "README.md").text.split("```python\n")[1].split("```")[0]
    assert f'"anna/tiny-{row}"' in code and (BASE_ID in code) == (row != "full")
    here = code.replace(f'"anna/tiny-{row}"', repr(str(folder))).replace(f'"{BASE_ID}"', repr(str(base)))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(here, {})
    (wanted,) = predict_texts([study / f"{row}-seed{seed}"], [TEXT])
    assert wanted["prediction"] and printed.getvalue().rstrip("\n") == wanted["prediction"]


@pytest.fixture
def tokenizer(base: Path) -> object:
    return AutoTokenizer.from_pretrained(base)


def test_a_chat_is_asked_in_messages(base: Path, tokenizer: object) -> None:
    tokenizer.chat_template = (  # type: ignore[attr-defined]
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    config = replace(make_config(base, "lora"), system_prompt="Be short.")
    code = usage_code(config, tokenizer, labels=None)  # type: ignore[arg-type]
    assert '{"role": "system", "content": "Be short."}' in code and f'"content": "{TEXT} TL;DR:"' in code
    rendered = code.split("tokens = ")[1].split("\noutput")[0]
    tokens = eval(rendered, {"tokenizer": tokenizer})
    assert tokenizer.decode(tokens["input_ids"][0]).startswith("[system]Be short.[end][user]The council")  # type: ignore[attr-defined]


def test_settings_of_generation_that_a_run_set_are_passed(base: Path, tokenizer: object) -> None:
    config = make_config(base, "lora", generation=GenerationConfig(max_new_tokens=5, num_beams=3, temperature=0.5))
    code = usage_code(config, tokenizer, labels=None)  # type: ignore[arg-type]
    assert all(
        f"    {part},\n" in code for part in ("max_new_tokens=5", "do_sample=True", "temperature=0.5", "num_beams=3")
    )
    assert "repetition_penalty=1.0" in code


def test_a_class_head_is_asked_for_a_class(base: Path, tokenizer: object) -> None:
    task = {"name": "sequence_classification", "text_pair_column": "b", "labels": ["no", "yes"]}
    code = usage_code(make_config(base, "full", task=task), tokenizer, labels=["no", "yes"])  # type: ignore[arg-type]
    assert f"{TEXT}\\n{TEXT_PAIR}" in code and '["no", "yes"][int(logits.argmax())]' in code
    compile(code, "usage", "exec")


def test_a_scored_answer_is_said_to_be_one(base: Path, tokenizer: object) -> None:
    task = {"name": "instructed_classification", "labels": ["no", "yes"], "scoring": "likelihood"}
    code = usage_code(make_config(base, "lora", task=task), tokenizer, labels=None)  # type: ignore[arg-type]
    assert code.startswith('# The study took the likeliest of "no" or "yes"')
