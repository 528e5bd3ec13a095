"""What holds for every method: saved and loaded it gives the same logits, and merged where it can be."""

import pytest
import torch
from tiny import METHODS, shake_trainables

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.models.loading import load_base
from hf_peft_compare.models.trainable_parameters import named_trainables

MERGEABLE = ("last_layer_head", "last_layers", "lora", "dora", "qlora", "ia3", "full")
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


@pytest.fixture(params=["tiny_gpt2", "tiny_llama"])
def case(request, build, tiny_study):
    """`case(row)`: the method, its settings, a model as if trained, and a fresh base."""
    override = f"model_name_or_path={request.getfixturevalue(request.param)}"

    def make(row):
        config, _ = tiny_study(override).resolve(row=row, seed=0)
        model = shake_trainables(build(row, override).model)
        return get_method(config.method["name"]), config.method_settings, model, load_base(config).eval()

    return make


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits


@pytest.mark.parametrize("row", METHODS)
def test_saved_and_loaded_onto_a_fresh_base_it_gives_the_same_logits(row, case, tmp_path):
    method, settings, model, base = case(row)
    untouched = logits(base)
    method.save(model, tmp_path)
    loaded = method.load(base, tmp_path, settings).eval()
    torch.testing.assert_close(logits(loaded), logits(model), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits(loaded)[:, -1], untouched[:, -1], atol=1e-2)


@pytest.mark.parametrize("row", [row for row in METHODS if row != "full"])
def test_only_what_was_trained_is_saved(row, case, tmp_path):
    method, _, model, base = case(row)
    method.save(model, tmp_path)
    trained = sum(p.numel() * p.element_size() for p in named_trainables(model).values())
    saved = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    assert saved < trained + 10_000  # names and shapes


@pytest.mark.parametrize("row", MERGEABLE)
def test_merged_it_is_a_plain_model_of_equal_logits(row, case, tmp_path):
    method, _, model, base = case(row)
    expected = logits(model)
    merged = method.merge(model)
    assert type(merged) is type(base)
    torch.testing.assert_close(logits(merged), expected, atol=1e-4, rtol=1e-4)
    merged.save_pretrained(tmp_path / "merged")  # as a user would publish it
    torch.testing.assert_close(
        logits(type(base).from_pretrained(tmp_path / "merged").eval()), expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("row", [row for row in METHODS if row not in MERGEABLE])
def test_what_cannot_be_merged_says_so(row, case):
    method, _, model, _ = case(row)
    with pytest.raises(UserError, match="cannot be merged"):
        method.merge(model)


@pytest.mark.parametrize("row", METHODS)
def test_the_base_is_frozen_but_for_what_the_method_trains(row, case):
    _, _, model, _ = case(row)
    trainables = named_trainables(model)
    assert trainables
    assert all(p.dtype == torch.float32 for p in trainables.values())
    if row != "full":
        assert len(trainables) < len(list(model.parameters()))


@pytest.mark.parametrize("row", [row for row in METHODS if row != "prefix_tuning"])
def test_every_trainable_gets_a_gradient_with_gradient_checkpointing(row, build):
    model = build(row).model.train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=IDS).loss.backward()
    assert [name for name, p in named_trainables(model).items() if p.grad is None] == []
    assert any(p.grad.abs().sum() > 0 for p in named_trainables(model).values())


def test_prefix_tuning_with_gradient_checkpointing_is_a_user_error(build):
    # Checkpointed blocks take no cache, and its keys and values would stand there.
    with pytest.raises(UserError, match="radient checkpointing"):
        build("prefix_tuning", "training.gradient_checkpointing=true")


@pytest.mark.parametrize("row", ["prompt_tuning", "lora", "last_layers", "p_tuning", "full"])
def test_gradient_checkpointing_changes_no_loss(row, train):
    plain = train(row, "training.num_train_epochs=1", folder="plain")
    checkpointed = train(
        row, "training.num_train_epochs=1", "training.gradient_checkpointing=true", folder="checkpointed"
    )
    for one, other in zip(plain.history, checkpointed.history, strict=True):
        assert vars(one) == pytest.approx(vars(other), abs=1e-4)


@pytest.mark.parametrize("name", ["gpt2-cnn-dailymail"])
def test_every_row_of_a_study_has_settings_of_its_method(name):
    for run, _ in load_study(name).resolve_all():
        assert isinstance(run.method_settings, get_method(run.method["name"]).settings)
