"""Bases and tokenizers: as the study asks for them, or an error that says what to do."""

import pytest
import torch
from tiny import tiny_tokenizer
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.loading import base_on_meta, load_base, load_tokenizer


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("null", "sdpa"), ("sdpa", "sdpa"), ("eager", "eager")],  # null: transformers' choice for GPT-2
)
def test_the_model_has_the_attention_that_is_asked_for(asked, expected, build):
    for row in ("full", "prompt_tuning"):
        assert build(row, f"attn_implementation={asked}").model.config._attn_implementation == expected
    assert build("full", "init=config", f"attn_implementation={asked}").model.config._attn_implementation == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("nonsense", r"'nonsense': .*not supported.* Set sdpa or eager"),
        ("flash_attention_2", "needs half precision, but evaluation is in float32; set sdpa"),
        pytest.param("flex_attention", "'flex_attention'", id="which GPT-2 does not have, and no CPU"),
    ],
)
def test_an_attention_that_cannot_be_had_is_a_user_error_before_weights_are_read(asked, message, tiny_study):
    config = tiny_study(f"attn_implementation={asked}").config
    for load in (base_on_meta, load_base):
        with pytest.raises(UserError, match=f"attn_implementation is .*{message}"):
            load(config)


def test_init_config_has_the_architecture_with_random_weights(tiny_study):
    torch.manual_seed(7)
    pretrained, fresh = load_base(tiny_study().config), load_base(tiny_study("init=config").config)
    assert pretrained.config.n_embd == fresh.config.n_embd == 32
    assert not torch.equal(pretrained.transformer.wte.weight, fresh.transformer.wte.weight)


def test_the_base_is_float32_whatever_it_was_saved_as(tiny_study, tiny_gpt2, tmp_path):
    load_base(tiny_study().config).half().save_pretrained(tmp_path / "half")
    assert load_base(tiny_study(f"model_name_or_path={tmp_path / 'half'}").config).dtype == torch.float32


def test_a_tokenizer_without_pad_token_pads_with_eos_on_the_left(tiny_study):
    tokenizer = load_tokenizer(tiny_study().config)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0
    assert tokenizer.padding_side == "left"


def test_a_pad_token_of_its_own_is_kept(tiny_study, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.save_pretrained(tmp_path / "padded")
    assert load_tokenizer(tiny_study(f"tokenizer_name_or_path={tmp_path / 'padded'}").config).pad_token == "<pad>"


@pytest.mark.parametrize(
    ("special", "has"), [({}, "neither a pad nor an eos token"), ({"pad_token": "a"}, "a pad token only")]
)
def test_a_tokenizer_without_eos_is_a_user_error(special, has, tiny_study, tmp_path):
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"a": 0, "b": 1}, [])), **special).save_pretrained(
        tmp_path / "bare"
    )
    with pytest.raises(UserError, match=f"has {has}.*Set eos_token"):
        load_tokenizer(tiny_study(f"tokenizer_name_or_path={tmp_path / 'bare'}").config)


@pytest.mark.parametrize("name", ["someone/some-model", "./nowhere"])
def test_a_model_that_cannot_be_had_is_a_user_error(name, tiny_study):
    config = tiny_study(f"model_name_or_path={name}").config
    for load in (load_tokenizer, load_architecture, load_base):
        with pytest.raises(UserError, match="model"):
            load(config)


def test_a_model_folder_without_weights_is_a_user_error(tiny_study, tiny_gpt2, tmp_path):
    (tmp_path / "config.json").write_text((tiny_gpt2 / "config.json").read_text())
    with pytest.raises(UserError, match="cannot be read"):
        load_base(tiny_study(f"model_name_or_path={tmp_path}").config)


def test_absurdly_many_layers_are_refused_before_any_is_built(tiny_study):
    config, _ = tiny_study("architecture.n_layer=300000").resolve(row="lora", seed=0)
    with pytest.raises(UserError, match="the model has 300,000 layers; at most 2,000 are built. Check architecture."):
        base_on_meta(config)
