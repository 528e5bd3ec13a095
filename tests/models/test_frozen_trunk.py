"""The frozen trunk: found from what is trained, quiet in training, entered above with the same result."""

import pytest
import torch
from tiny import NO_DROPOUT, shake_trainables, tiny_model, token_rows
from transformers import AutoConfig, AutoModelForCausalLM

from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.models.frozen_trunk import (
    accept_trunk_states,
    find_trunk,
    keep_in_evaluation,
    keep_statistics,
    trunk_states,
)

WITHOUT_TRUNK = ["prompt_tuning", "lora", "ia3", "prefix_tuning", "p_tuning", "full"]
TOP_LORA = {"top_lora": {"method": "peft", "peft_type": "LORA", "layers_to_transform": [1], "layers_pattern": "h"}}


def test_last_layers_have_a_trunk_up_to_their_first_trained_block(build):
    trunk = find_trunk(build("last_layers").model)
    assert trunk.boundary is trunk.base.transformer.h[1] and trunk.blocks == (trunk.base.transformer.h[0],)
    head = find_trunk(build("last_layer_head").model)
    assert head.boundary is head.base.lm_head and len(head.blocks) == 2 and head.below_head


@pytest.mark.parametrize("row", WITHOUT_TRUNK)
def test_a_method_that_trains_below_or_all_over_has_none(build, row):
    assert find_trunk(build(row).model) is None


def test_a_model_that_trains_nothing_has_none(build):
    assert find_trunk(build("zero_shot", methods={"zero_shot": {}}).model) is None


def test_an_adapter_of_the_upper_blocks_has_a_trunk_below_it(build):
    trunk = find_trunk(build("top_lora", methods=TOP_LORA).model)
    assert trunk.boundary is trunk.base.transformer.h[1]


def test_a_tied_head_that_is_trained_trains_the_embedding_and_leaves_no_trunk():
    model = tiny_model().requires_grad_(False)
    model.lm_head.requires_grad_(True)
    assert find_trunk(model) is None


def test_dropout_in_the_trunk_is_off_in_training_and_above_it_is_on(build):
    model = build("last_layers").model.train()
    assert not model.transformer.drop.training and not model.transformer.h[0].attn.attn_dropout.training
    assert model.transformer.h[1].attn.attn_dropout.training


@pytest.mark.parametrize("row", ["last_layers", "last_layer_head", "top_lora"])
def test_the_model_gives_the_same_logits_and_gradients_from_states_as_from_tokens(build, row):
    model = shake_trainables(build(row, NO_DROPOUT, methods={**TOP_LORA, **METHODS_WITH_TRUNK}).model)
    _check_equal(model, find_trunk(model))


METHODS_WITH_TRUNK = {"last_layers": {"num_layers": 1}, "last_layer_head": {"method": "last_layers", "num_layers": 0}}

ARCHITECTURES = {
    "llama": {},
    "qwen2": {},
    "gpt_neox": {"hidden_dropout": 0.0},
    "gemma3_text": {"head_dim": 16, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8},
    "opt": {"ffn_dim": 64, "dropout": 0.0, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 2},
    "phi": {"resid_pdrop": 0.0},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 2, "rotary_dim": 8},
}


@pytest.mark.parametrize("num_layers", [0, 1])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_other_architectures_can_be_entered_above_their_trunk_too(architecture, num_layers):
    from hf_peft_compare.methods.last_layers import LastLayersSettings, build_last_layers

    common = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    more = {"num_key_value_heads": 2, "vocab_size": 300, "pad_token_id": 0, **ARCHITECTURES[architecture]}
    if "n_layer" in more:
        common = {"hidden_size": 32} if architecture == "bloom" else {}
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **common, **more)
    model = build_last_layers(
        AutoModelForCausalLM.from_config(config).float(), LastLayersSettings(num_layers=num_layers)
    )
    trunk = find_trunk(model)
    keep_in_evaluation(trunk)
    accept_trunk_states(trunk)
    _check_equal(model, trunk)


def _check_equal(model, trunk):
    model.train()
    inputs = CompletionCollator(pad_token_id=0)(token_rows([9, 14, 20]))
    expected = model(**inputs)
    expected.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    states = trunk_states(trunk, {k: v for k, v in inputs.items() if k != "labels"})
    output = model(**inputs, trunk_states=states)
    output.loss.backward()
    torch.testing.assert_close(output.logits, expected.logits, atol=1e-5, rtol=1e-5)
    for name, p in model.named_parameters():
        if p.requires_grad:
            torch.testing.assert_close(p.grad, gradients[name], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(**inputs).logits, expected.logits)  # and nothing of it stays behind


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_normalization_keeps_its_statistics_in_training(frozen):
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(), torch.nn.Linear(3, 2)
    )
    model[1].requires_grad_(not frozen)
    keep_statistics(model)
    before = model[1].running_mean.clone()
    model.train()(torch.randn(8, 3) + 5)
    assert torch.equal(before, model[1].running_mean) is frozen
    assert model[2].training  # dropout is part of training
