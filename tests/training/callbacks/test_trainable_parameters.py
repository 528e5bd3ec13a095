"""TrainableParameters counts and hashes what is trained, before the first step."""

import pytest
import torch
from tiny import METHODS

from hf_peft_compare.models.trainable_parameters import hash_trainables
from hf_peft_compare.training.callbacks import TrainableParameters


@pytest.fixture
def model():
    """Two layers of 2 × 2 weights and 2 biases, the first frozen."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[0].requires_grad_(False)
    return model


def test_it_counts_and_hashes_when_training_begins(model):
    callback = TrainableParameters()
    expected = hash_trainables(model)
    callback.on_train_begin(None, None, None, model=model)
    assert callback.counts == {"trainable_params": 6, "total_params": 12}
    assert callback.initial_sha256 == expected


def test_a_resumed_run_keeps_the_hash_of_its_real_beginning(model):
    callback = TrainableParameters()
    callback.on_train_begin(None, None, None, model=model)
    first = callback.initial_sha256
    saved = callback.state()
    with torch.no_grad():
        model[1].weight += 1
    resumed = TrainableParameters(**saved["args"])
    vars(resumed).update(saved["attributes"])
    resumed.on_train_begin(None, None, None, model=model)
    assert resumed.initial_sha256 == first


@pytest.mark.parametrize("row", ["prompt_tuning", "lora", "last_layers"])
def test_the_record_holds_counts_and_the_hash_of_what_the_factory_built(row, train, build):
    record = train(row, "training.num_train_epochs=1")
    model = build(row).model
    assert record.initial_trainables_sha256 == hash_trainables(model)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert record.parameters.trainable_params == trainable > 0
    if row == "prompt_tuning":
        assert trainable == METHODS[row]["num_virtual_tokens"] * 32  # P × H
