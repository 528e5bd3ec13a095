"""Bases in GGUF files: the same model and tokenizer, which train, save and load as any other base does."""

import pytest
import torch
from huggingface_hub import ModelCard
from tiny import METHODS
from transformers import AutoModelForCausalLM

from hf_peft_compare.config.identity import BASE_MODEL, identity_of
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inference.export import export_run
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import check_weights, load_base, load_tokenizer
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.record import read_record

pytest.importorskip("gguf", reason="gguf is not installed")
from gguf_files import CHAT_TEMPLATE, write_gguf  # noqa: E402

FILE = "tiny.gguf"
IDS = torch.tensor([[1, 40, 50, 60, 70]])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with one GGUF file, and the model and the tokenizer in it."""
    folder = tmp_path_factory.mktemp("gguf")
    return folder, *write_gguf(folder / FILE)


@pytest.fixture
def on(written):
    """The settings of a study on this base."""
    return f"model_name_or_path={written[0]}", f"gguf_file={FILE}"


def test_model_and_tokenizer_are_those_that_were_written(written, on, tiny_study):
    _, model, tokenizer = written
    config = tiny_study(*on).config
    base, read = load_base(config), load_tokenizer(config)
    torch.testing.assert_close(base(IDS).logits, model(IDS).logits, rtol=1e-5, atol=1e-5)
    text = "On Monday Anna found 12 otters."
    assert read(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert base.dtype == torch.float32 and not hasattr(base.config, "quantization_config")


def test_the_end_of_a_completion_is_labeled_although_it_pads_too(on, tiny_study):
    config = tiny_study(*on).config
    tokenizer = load_tokenizer(config)
    eos = tokenizer.pad_token_id
    assert eos == tokenizer.eos_token_id
    rows = [{"input_ids": [5, 6, 7, 8, eos], "num_completion_tokens": 3}]
    rows += [{"input_ids": [9, eos], "num_completion_tokens": 1}]
    labels = head_of(config).collator(tokenizer)(rows)["labels"]
    assert labels.tolist() == [[-100, 7, 8, eos], [-100, -100, -100, eos]]


def test_the_chat_template_comes_with_the_file(tmp_path, tiny_study):
    write_gguf(tmp_path / FILE, chat_template=CHAT_TEMPLATE)
    config = tiny_study(f"model_name_or_path={tmp_path}", f"gguf_file={FILE}").config
    assert load_tokenizer(config).chat_template == CHAT_TEMPLATE


@pytest.mark.parametrize("row", METHODS)
def test_every_method_is_built_and_has_gradients(row, on, build):
    model = build(row, *on).model.train()
    labels = torch.where(torch.arange(5) < 3, -100, IDS)  # some methods act on the prompt alone
    model(input_ids=IDS, labels=labels).loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_class_head_stands_on_it(on, tiny_study):
    task = {"name": "sequence_classification", "labels": ["lost", "unclear", "found"]}
    base = load_base(tiny_study(*on, task=task).config)
    assert base(IDS).logits.shape == (1, 3)


def test_the_plan_counts_what_is_loaded(written, on, tiny_study):
    (plan,) = plan_study(configs_of(tiny_study(*on, methods={"full": {}})), device="h200").runs
    assert plan.total_params == sum(p.numel() for p in written[1].parameters())


def test_a_run_is_trained_saved_loaded_and_exported(on, train, tmp_path):
    assert train("lora", *on, folder="run", methods={"lora": {"r": 4}}).finished
    assert read_record(tmp_path / "run").config["gguf_file"] == FILE
    loaded = load_run(tmp_path / "run")
    changed = load_base(loaded.config)(IDS).logits - loaded.model(IDS).logits
    assert changed.abs().max() > 1e-4
    merged = AutoModelForCausalLM.from_pretrained(export_run(tmp_path / "run", tmp_path / "plain", merge=True))
    torch.testing.assert_close(merged(IDS).logits, loaded.model(IDS).logits, rtol=1e-4, atol=1e-4)
    assert not hasattr(merged.config, "quantization_config")
    card = ModelCard.load(export_run(tmp_path / "run", tmp_path / "adapter", merge=False) / "README.md").content
    assert f'gguf_file="{FILE}", quantization_config=GgufConfig(dequantize=True))' in card
    assert f"/{FILE}" in ModelCard.load(tmp_path / "plain" / "README.md").content.split("## Results")[0]


def test_the_base_of_a_run_is_its_file_alone(tmp_path, tiny_study):
    write_gguf(tmp_path / FILE)
    config, _ = tiny_study(f"model_name_or_path={tmp_path}", f"gguf_file={FILE}").resolve(row="lora", seed=0)
    before = identity_of(config).inputs[BASE_MODEL]
    (tmp_path / "other.gguf").write_bytes(b"GGUF of other bits")
    assert identity_of(config).inputs[BASE_MODEL] == before
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"\0")
    assert identity_of(config).inputs[BASE_MODEL] != before


def break_file(folder, how):
    """Replace the folder's GGUF file by something that is none, or that cannot be used."""
    path = folder / FILE
    if how == "of an unknown architecture":
        return write_gguf(path, architecture="baichuan")
    if how == "cut short":
        whole = path.with_suffix(".whole")
        write_gguf(whole)
        return path.write_bytes(whole.read_bytes()[:-1000])
    contents = {
        "a text": b"hello there",
        "of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
        "other": b"\0\1",
    }
    return path.write_bytes(contents[how])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("a text", "tiny.gguf is not a GGUF file but a text that begins with 'hello there'; download"),
        ("of Git LFS", "is not a GGUF file but a pointer of Git LFS; fetch"),
        ("other", "is not a GGUF file but something else: it does not begin with GGUF"),
        ("of an unknown architecture", "tiny.gguf cannot be read: .*baichuan.* Use the model in transformers' own"),
        ("cut short", "tiny.gguf cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error(how, message, tmp_path, tiny_study):
    break_file(tmp_path, how)
    config = tiny_study(f"model_name_or_path={tmp_path}", f"gguf_file={FILE}").config
    for load in (load_architecture, check_weights, load_base):
        with pytest.raises(UserError, match=message):
            load(config)


def test_a_file_that_is_not_there_is_an_error_that_lists_the_others(written, tiny_study):
    config = tiny_study(f"model_name_or_path={written[0]}", "gguf_file=q4.gguf").config
    with pytest.raises(UserError, match=f"q4.gguf is not in model folder .*; it has {FILE}"):
        load_architecture(config)
    with pytest.raises(UserError, match=f"has GGUF files only; set gguf_file to one of {FILE}"):
        load_architecture(tiny_study(f"model_name_or_path={written[0]}").config)
    with pytest.raises(UserError, match=f"is a file; set model_name_or_path to {written[0]} and gguf_file to {FILE}"):
        load_architecture(tiny_study(f"model_name_or_path={written[0] / FILE}").config)


def test_a_missing_package_is_an_error_that_says_how_to_install_it(on, tiny_study, without):
    without("gguf")
    with pytest.raises(UserError, match=r'needs the package gguf.*pip install "hf_peft_compare\[gguf\]"'):
        load_tokenizer(tiny_study(*on).config)
