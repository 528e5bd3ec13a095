"""Training changes the parameters that a method declares, all of them, and leaves every other bit of the base alone."""

import pytest
from tiny import METHODS

from hf_peft_compare.models.trainable_parameters import hash_tensors
from hf_peft_compare.training import run as training
from hf_peft_compare.training.factory import build

# What each method declares as trainable, as the ends of parameter names; from the definitions in their papers.
DECLARED = {
    "prompt_tuning": {"prompt_embeddings"},
    "last_layer_head": {"lm_head.weight"},
    "lora": {"lora_A.default.weight", "lora_B.default.weight"},
    "qlora": {"lora_A.default.weight", "lora_B.default.weight"},
    "dora": {"lora_A.default.weight", "lora_B.default.weight", "lora_magnitude_vector.default.weight"},
    "loreft": {"edits.first.rotation", "edits.first.source.weight", "edits.first.source.bias"},
    "ia3": {"ia3_l.default"},
    "prefix_tuning": {"prompt_encoder.default.embedding.weight"},
    "peft_prompt_tuning": {"prompt_encoder.default.embedding.weight"},
}


def tensors(model):
    return dict(model.named_parameters()) | dict(model.named_buffers())


@pytest.fixture
def before_and_after(train, monkeypatch):
    """Parameters and buffers before and after training: `(names of trainables, before, after)`."""

    def run(row, *overrides, **keys):
        seen = {}

        def remember(*args, **kwargs):
            built = build(*args, **kwargs)
            seen["model"] = built.model
            seen["before"] = {name: t.detach().clone() for name, t in tensors(built.model).items()}
            return built

        monkeypatch.setattr(training, "build", remember)
        train(row, "training.num_train_epochs=1", "training.learning_rate=0.01", *overrides, **keys)
        after = tensors(seen["model"])
        return {name for name, t in after.items() if t.requires_grad}, seen["before"], after

    return run


@pytest.mark.parametrize("row", METHODS)
def test_only_the_trainables_are_updated_and_the_base_stays_bit_identical(row, before_and_after):
    trainables, before, after = before_and_after(row)
    assert trainables
    for name in trainables:
        assert not before[name].equal(after[name]), f"{name} is trainable and did not change"
    frozen = set(before) - trainables
    assert hash_tensors({n: before[n] for n in frozen}) == hash_tensors({n: after[n] for n in frozen})
    if row in DECLARED:
        assert {next(end for end in DECLARED[row] if name.endswith(end)) for name in trainables} == DECLARED[row]


@pytest.mark.parametrize("cached", ["true", "false"])
def test_the_running_statistics_of_a_frozen_image_encoder_stay(cached, before_and_after, asking):
    trainables, before, after = before_and_after("fused", f"training.trunk_cache={cached}", **asking)
    statistics = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert statistics and all(before[name].equal(after[name]) for name in statistics)
    assert trainables and not any(before[name].equal(after[name]) for name in trainables)
