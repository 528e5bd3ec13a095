"""What holds for every method of the package: the contract of `hf_peft_compare.testing`, and checkpointing."""

import pytest
import torch
from tiny import METHODS, WRITERS, known

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.schema import method_name
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.models.trainable_parameters import named_trainables
from hf_peft_compare.testing import CHECKS, Case

MERGEABLE = ("last_layer_head", "last_layers", "lora", "dora", "qlora", "ia3", "full")
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


def case(row, architecture):
    """A row of the table of methods on a tiny model."""
    settings = dict(METHODS[row])
    name = method_name(row, settings)
    settings.pop("method", None)
    return Case(name, settings, architecture)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("row", METHODS)
def test_a_method_holds_its_contract(row, architecture, check):
    check(case(row, architecture))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("row", "architecture"),
    [*((row, "t5") for row in WRITERS), *((row, "bart") for row in ("prompt_tuning", "last_layers", "lora", "full"))],
)
def test_a_method_holds_its_contract_on_an_encoder_decoder(row, architecture, check):
    check(case(row, architecture))


@pytest.mark.parametrize("row", METHODS)
def test_what_is_mergeable_merges_and_what_is_not_says_so(row):
    tried = case(row, "gpt2")
    if row in MERGEABLE:
        tried.type.merge(tried.tuned())
    else:
        with pytest.raises(UserError, match="cannot be merged"):
            tried.type.merge(tried.tuned())


@pytest.mark.parametrize("row", [row for row in METHODS if row != "full"])
def test_all_but_full_fine_tuning_freeze_a_part(row):
    model = case(row, "gpt2").model()
    assert len(named_trainables(model)) < len(list(model.parameters()))


@pytest.mark.parametrize("row", [row for row in METHODS if row != "prefix_tuning"])
def test_every_trainable_gets_a_gradient_with_gradient_checkpointing(row, build):
    model = build(row).model.train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=IDS.where(IDS > 7, -100)).loss.backward()
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
        assert known(one) == pytest.approx(known(other), abs=1e-4)


@pytest.mark.parametrize("name", ["gpt2-cnn-dailymail"])
def test_every_row_of_a_study_has_settings_of_its_method(name):
    for run, _ in load_study(name).resolve_all():
        assert isinstance(run.method_settings, get_method(run.method["name"]).settings)
