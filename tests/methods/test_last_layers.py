"""Last layers: head and last blocks are trained, and a tied head does not take the embedding with it."""

import pytest
import torch
from tiny import METHODS, tiny_model

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.methods.last_layers import LastLayersSettings, build_last_layers, untie_head
from hf_peft_compare.models.trainable_parameters import named_trainables

IDS = torch.tensor([[5, 6, 7, 8]])


def test_gpt2s_head_is_tied_to_begin_with():
    model = tiny_model()
    assert model.lm_head.weight is model.transformer.wte.weight


@pytest.mark.parametrize("num_layers", [0, 1, 2])
def test_untying_changes_no_logit(num_layers):
    expected = tiny_model()(IDS).logits
    model = build_last_layers(tiny_model(), LastLayersSettings(num_layers=num_layers))
    assert torch.equal(model(IDS).logits, expected)
    assert model.lm_head.weight.data_ptr() != model.transformer.wte.weight.data_ptr()
    assert not model.config.tie_word_embeddings


def test_tying_again_does_not_undo_it():
    model = build_last_layers(tiny_model(), LastLayersSettings())
    model.tie_weights()
    assert model.lm_head.weight is not model.transformer.wte.weight


def test_an_untied_head_is_left_as_it_is():
    model = tiny_model("llama")
    weight = model.lm_head.weight
    untie_head(model)
    assert model.lm_head.weight is weight


@pytest.mark.parametrize(
    ("architecture", "num_layers", "prefixes"),
    [
        ("gpt2", 0, ("lm_head.",)),
        ("gpt2", 1, ("lm_head.", "transformer.h.1.")),
        ("gpt2", 2, ("lm_head.", "transformer.h.0.", "transformer.h.1.")),
        ("llama", 1, ("lm_head.", "model.layers.1.")),
    ],
)
def test_the_head_and_the_last_blocks_are_trained_and_nothing_else(architecture, num_layers, prefixes):
    model = build_last_layers(tiny_model(architecture), LastLayersSettings(num_layers=num_layers))
    expected = {name for name, _ in model.named_parameters() if name.startswith(prefixes)}
    assert set(named_trainables(model)) == expected
    assert {next(p for p in prefixes if name.startswith(p)) for name in expected} == set(prefixes)


def test_the_embedding_is_unchanged_by_training(train, tiny_gpt2, tiny_study, tmp_path):
    from safetensors.torch import load_file

    from hf_peft_compare.models.loading import load_base

    train("last_layers", "training.learning_rate=0.01", "training.num_train_epochs=1")
    saved = load_file(tmp_path / "last_layers-seed0/model/trainables.safetensors")
    embedding = load_file(tiny_gpt2 / "model.safetensors")["transformer.wte.weight"]
    assert not torch.equal(saved["lm_head.weight"], embedding)  # it began as a copy, and was trained
    assert not any("wte" in name for name in saved)
    settings = LastLayersSettings(**METHODS["last_layers"])
    model = get_method("last_layers").load(
        load_base(tiny_study().config), tmp_path / "last_layers-seed0/model", settings
    )
    assert torch.equal(model.transformer.wte.weight, embedding)


def test_more_blocks_than_the_model_has_is_a_user_error():
    with pytest.raises(UserError, match="num_layers is 3; the model has 2 blocks, so set 0 to 2"):
        build_last_layers(tiny_model(), LastLayersSettings(num_layers=3))


def test_a_model_without_blocks_is_a_user_error():
    model = tiny_model()
    model.config.n_layer = 5
    with pytest.raises(UserError, match="found no list of 5 transformer blocks in GPT2LMHeadModel"):
        build_last_layers(model, LastLayersSettings(num_layers=1))
