"""LoRA adapts every linear layer of the base but its head, which a classifier trains whole."""

import pytest
import torch
from tiny import tiny_config, tiny_model
from transformers import AutoModelForSequenceClassification, DistilBertConfig, RobertaConfig
from transformers.pytorch_utils import Conv1D

from hf_peft_compare.methods.lora import LoraSettings, build_lora
from hf_peft_compare.models.quantization import linear_layers
from hf_peft_compare.models.trainable_parameters import named_trainables

SMALL = {"vocab_size": 300, "num_labels": 3}
# transformers has the heads of classifiers in three shapes: one layer, two layers in one module, and two modules.
CLASSIFIERS = {
    "gpt2": lambda: tiny_config("gpt2"),
    "llama": lambda: tiny_config("llama"),
    "bert": lambda: tiny_config("bert"),
    "roberta": lambda: RobertaConfig(
        **SMALL, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    ),
    "distilbert": lambda: DistilBertConfig(**SMALL, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
}


def classifier(architecture):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(CLASSIFIERS[architecture]())


def adapted(model):
    """The names of the layers that have adapters, as in the base."""
    return {
        name.removeprefix("base_model.model.").split(".lora_A.")[0]
        for name in named_trainables(model)
        if ".lora_A." in name
    }


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_every_linear_layer_but_the_lm_head_is_adapted(architecture):
    base = tiny_model(architecture)
    linear = dict(linear_layers(base))
    assert len(linear) == 2 * {"gpt2": 4, "llama": 7}[architecture]
    model = build_lora(base, LoraSettings(r=4))
    assert adapted(model) == set(linear)
    assert {name.rsplit(".lora_", 1)[-1][:1] for name in named_trainables(model)} == {"A", "B"}


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_a_class_head_is_trained_whole_and_has_no_adapter(architecture):
    base = classifier(architecture)
    inside = set(base.base_model.modules())
    linear = {name for name, m in base.named_modules() if m in inside and isinstance(m, (torch.nn.Linear, Conv1D))}
    head = sum(p.numel() for child in base.children() if child is not base.base_model for p in child.parameters())
    model = build_lora(base, LoraSettings(r=4))
    assert adapted(model) == linear
    whole = [p.numel() for name, p in named_trainables(model).items() if ".modules_to_save." in name]
    assert sum(whole) == head
    assert len(named_trainables(model)) == 2 * len(adapted(model)) + len(whole)


def test_the_update_is_scaled_by_alpha_over_the_rank():
    layer = build_lora(tiny_model(), LoraSettings()).base_model.model.transformer.h[0].mlp.c_fc
    assert layer.scaling["default"] == 32 / 8
