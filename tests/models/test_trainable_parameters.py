"""Trainables: named, counted once, hashed bit by bit, saved and loaded whole."""

import pytest
import torch
from torch import nn

from hf_peft_compare.models.trainable_parameters import (
    count_parameters,
    hash_tensors,
    hash_trainables,
    load_trainables,
    named_trainables,
    save_trainables,
)


@pytest.fixture
def model():
    """Two linear layers of 3 × 4 and 4 × 3 that share one weight, the bias of the second frozen."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3))
    model[1].weight = model[0].weight
    model[1].bias.requires_grad_(False)
    return model


def test_shared_parameters_are_counted_once(model):
    assert count_parameters(model) == {"trainable_params": 12 + 3, "total_params": 12 + 3 + 3}
    assert list(named_trainables(model)) == ["0.weight", "0.bias"]


def test_a_quantized_parameter_counts_as_the_numbers_it_stands_for():
    class Params4bit(nn.Parameter):  # as bitsandbytes': two numbers of four bits in each byte
        pass

    layer = nn.Module()
    layer.weight = Params4bit(torch.zeros(50, 1, dtype=torch.uint8), requires_grad=False)
    assert count_parameters(layer)["total_params"] == 100


def test_the_hash_sees_every_bit_every_name_and_every_type(model):
    first = hash_trainables(model)
    assert first == hash_trainables(model)
    with torch.no_grad():
        model[0].bias[0] = torch.nextafter(model[0].bias[0], torch.tensor(9.0))
    assert hash_trainables(model) != first
    zeros = torch.zeros(2, 3)
    variants = [{"a": zeros}, {"b": zeros}, {"a": zeros.half()}, {"a": zeros.T}, {"a": -zeros}]
    assert len({hash_tensors(tensors) for tensors in variants}) == len(variants)
    assert hash_tensors({"a": zeros, "b": -zeros}) == hash_tensors({"b": -zeros, "a": zeros})


def test_the_hash_does_not_see_the_frozen(model):
    first = hash_trainables(model)
    with torch.no_grad():
        model[1].bias += 1
    assert hash_trainables(model) == first


def test_saved_trainables_load_bit_for_bit(model, tmp_path):
    path = tmp_path / "folder" / "trainables.safetensors"
    before = hash_trainables(model)
    save_trainables(model, path)
    with torch.no_grad():
        model[0].weight += 1
    assert hash_trainables(model) != before
    load_trainables(model, path)
    assert hash_trainables(model) == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_trainables_of_another_model_are_refused(model, tmp_path):
    save_trainables(model, tmp_path / "file")
    model[1].bias.requires_grad_(True)
    with pytest.raises(ValueError, match=r"1\.bias"):
        load_trainables(model, tmp_path / "file")
