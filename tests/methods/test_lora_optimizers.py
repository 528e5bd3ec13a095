"""LoRA's own optimizers: what each does differently from AdamW is seen in a run."""

import pytest
import torch

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.trainable_parameters import named_trainables
from hf_peft_compare.training.trainer import ComparisonTrainer

OPTIMIZERS = ("loraplus", "lorafa", "riemannian")
ROWS = {name: {"method": "lora", "r": 4, "optimizer": name} for name in OPTIMIZERS} | {"lora": {"r": 4}}


@pytest.fixture
def train_row(train):
    def run(row, *overrides, **keys):
        return train(row, "training.num_train_epochs=2", *overrides, methods=ROWS, **keys)

    return run


@pytest.fixture
def groups(monkeypatch):
    """What each optimizer is asked to train, by the name of its run's folder: its groups of parameters."""
    found, create = [], ComparisonTrainer.create_optimizer

    def keep(self, model=None):
        found.append((self.model, create(self, model)))
        return found[-1][1]

    monkeypatch.setattr(ComparisonTrainer, "create_optimizer", keep)
    return found


def test_loraplus_trains_b_at_a_multiple_of_the_rate_of_a(train_row, groups):
    train_row("loraplus", "training.learning_rate=1e-3", "training.weight_decay=0.1")
    model, optimizer = groups[0]
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {
        names[id(p)].split(".")[-3]: group["initial_lr"] for group in optimizer.param_groups for p in group["params"]
    }
    assert rates == {"lora_A": 1e-3, "lora_B": pytest.approx(16e-3)}
    assert {group["weight_decay"] for group in optimizer.param_groups if group["params"]} == {0.1}


def test_the_ratio_of_loraplus_is_a_setting(train_row, groups):
    train_row("loraplus", "training.learning_rate=1e-3", "methods.loraplus.loraplus_lr_ratio=4")
    assert max(group["initial_lr"] for group in groups[0][1].param_groups) == pytest.approx(4e-3)


def test_lorafa_trains_b_alone(train_row, build):
    trained = named_trainables(build("lorafa", methods=ROWS).model)
    assert trained and all("lora_B" in name for name in trained)
    record, plain = train_row("lorafa"), train_row("lora")
    assert record.parameters.trainable_params == sum(p.numel() for p in trained.values())
    assert record.parameters.trainable_params < plain.parameters.trainable_params
    assert record.final_trainables_sha256 != record.initial_trainables_sha256


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_each_trains_otherwise_than_adamw_from_the_same_first_values(row, train_row):
    own, plain = train_row(row, folder="own"), train_row("lora", folder="plain")
    assert own.history[0].loss == pytest.approx(plain.history[0].loss)
    assert own.history[-1].eval_loss != pytest.approx(plain.history[-1].eval_loss, rel=1e-6)
    assert own.history[-1].eval_loss < own.history[0].loss


@pytest.mark.parametrize("row", OPTIMIZERS)
def test_an_interrupted_run_ends_like_an_undisturbed_one(row, train_row, interrupt_at):
    whole = train_row(row, folder="whole")
    interrupt_at(5)
    with pytest.raises(KeyboardInterrupt):
        train_row(row, folder="interrupted")
    resumed = train_row(row, folder="interrupted")
    assert resumed.final_trainables_sha256 == whole.final_trainables_sha256
    assert resumed.history == whole.history


def test_an_unknown_optimizer_is_refused_with_those_there_are(build):
    with pytest.raises(UserError, match="optimizer is 'lora_plus'.*loraplus.*lorafa.*riemannian"):
        build("lora", "methods.lora.optimizer=lora_plus", methods=ROWS)


def test_qlora_has_them_too(build):
    model = build("qlora", methods={"qlora": {"r": 4, "optimizer": "lorafa"}}).model
    assert all("lora_B" in name for name in named_trainables(model))
    assert torch.is_tensor(next(iter(named_trainables(model).values())))
