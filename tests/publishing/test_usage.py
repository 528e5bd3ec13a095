"""The code in a card runs, and prints what this package predicts."""

from __future__ import annotations

import contextlib
import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conversations import chat_tokenizer
from finished_runs import make_config, make_run
from hub_stand_in import BASE_ID
from huggingface_hub import ModelCard
from transformers import AutoTokenizer
from transformers import GenerationConfig as BaseGeneration

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.chat import is_chat
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.inference.export import export_run
from hf_peft_compare.inference.model_card import loading_code
from hf_peft_compare.inference.prediction import predict_texts
from hf_peft_compare.publishing.usage import TEXT, TEXT_PAIR, usage_code


@pytest.mark.parametrize(("row", "seed"), [("lora", 1), ("soft", 0), ("full", 0)])
def test_the_code_of_a_card_prints_what_predict_does(row: str, seed: int, study: Path, base: Path, tree: Path) -> None:
    folder = tree / f"models/anna/tiny-{row}"
    code = ModelCard.load(folder / "README.md").text.split("```python\n")[1].split("```")[0]
    assert f'"anna/tiny-{row}"' in code and (BASE_ID in code) == (row != "full")
    here = code.replace(f'"anna/tiny-{row}"', repr(str(folder))).replace(f'"{BASE_ID}"', repr(str(base)))
    (wanted,) = predict_texts([study / f"{row}-seed{seed}"], [TEXT])
    assert wanted["prediction"] and printed_by(here) == wanted["prediction"]


def printed_by(code: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    return printed.getvalue().rstrip("\n")


def code_of(config: RunConfig, folder: Path) -> str:
    """Make a run of a config and export it; return the code of its card."""
    make_run(folder / "run", config)
    exported = export_run(folder / "run", folder / "exported", merge=False)
    plain = not (exported / "adapter_config.json").is_file()
    tokenizer = AutoTokenizer.from_pretrained(exported)
    asked = usage_code(config, tokenizer, labels=None)
    return f"{loading_code(config, name=str(exported), plain=plain)}\n{asked}"


@pytest.fixture(params=["tiny_t5", "tiny_bart"])
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of an encoder-decoder whose generation config says more than what its decoder starts with."""
    folder = shutil.copytree(request.getfixturevalue(request.param), tmp_path / "base")
    own = BaseGeneration(decoder_start_token_id=0, num_beams=3, min_length=8, forced_bos_token_id=7)
    own.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("row", ["lora", "lora_bias", "soft", "full"])
def test_an_encoder_decoder_prints_all_that_its_decoder_writes(row: str, writer: Path, tmp_path: Path) -> None:
    code = code_of(make_config(writer, row, max_length=96), tmp_path)
    (wanted,) = predict_texts([tmp_path / "run"], [TEXT])
    assert printed_by(code) == wanted["prediction"]


@pytest.mark.parametrize("prompt_format", ["auto", "text"])
def test_a_conversation_is_asked_in_the_projects_own_layout_where_its_run_was(
    prompt_format: str, base: Path, tokenizer: object
) -> None:
    if prompt_format == "text":
        tokenizer = chat_tokenizer()
    config = make_config(base, "lora", task={"name": "instruction_tuning"}, prompt_format=prompt_format)
    assert not is_chat(config, tokenizer)  # type: ignore[arg-type]
    code = usage_code(config, tokenizer, labels=None)  # type: ignore[arg-type]
    tokens = eval(code.split("tokens = ")[1].split("\noutput")[0], {"tokenizer": tokenizer})
    encode = format_of(config, []).encode_prompt
    assert encode is not None
    assert tokens["input_ids"][0].tolist() == encode(Example(id="0", source=TEXT, reference=""), tokenizer, 999)  # type: ignore[arg-type]


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
    assert '# The study took the likeliest of "no" or "yes"' in code
