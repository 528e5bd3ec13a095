"""What does not fit, and the nearest change that does, for devices of every size."""

import re
from dataclasses import replace

import pytest

from hf_peft_compare.planning import planner
from hf_peft_compare.planning.devices import CUDA_OWN_BYTES, DEVICES
from hf_peft_compare.planning.planner import configs_of, plan_study

WIDE = "architecture={model_type: gpt2, n_layer: 8, n_embd: 768, n_head: 12, vocab_size: 300}"


@pytest.fixture
def misfit(tiny_study, monkeypatch):
    """`misfit(row, usable_bytes, "key=value", …)`: the sentence about a row on a GPU of this size; None if it fits."""

    def find(row, usable_bytes, *overrides):
        device = replace(DEVICES["h200"], memory_bytes=usable_bytes + CUDA_OWN_BYTES)
        monkeypatch.setattr(planner, "find_device", lambda name: device)
        study = tiny_study(WIDE, "model_name_or_path=some/hub-name", *overrides)
        plan = plan_study(configs_of(study, [row]))
        return plan.misfits.get(row), plan.runs[0].memory

    return find


def test_a_batch_that_is_too_large_is_divided_and_the_change_fits(misfit):
    _, memory = misfit("full", 10**10)
    held = memory.weights_bytes + memory.gradients_bytes + memory.optimizer_bytes
    sentence, _ = misfit("full", (memory.peak_bytes + held) // 2)
    changes = re.findall(r"--set (\S+)(?:[: ]|$)", sentence)
    assert changes and "weights" not in sentence
    changes = [change.rstrip(":") for change in changes]
    assert misfit("full", (memory.peak_bytes + held) // 2, *changes)[0] is None


def test_no_batch_is_small_enough_for_weights_that_do_not_fit(misfit):
    small = ["training.train_batch_size=1", "training.eval_batch_size=1", "architecture.n_layer=24"]
    _, memory = misfit("lora", 10**10, *small)
    sentence, _ = misfit("lora", int(0.9 * memory.weights_bytes), *small)
    assert "weights alone take" in sentence and "QLoRA: " in sentence and "batch" not in sentence
    assert re.search(r"FSDP over (2|4|8|16) \(--num-processes \1 --accelerate-config fsdp\)", sentence)


def test_what_training_adds_to_the_weights_is_named(misfit):
    _, memory = misfit("full", 10**10)
    sentence, _ = misfit("full", int(1.5 * memory.weights_bytes))
    assert "weights, gradients and optimizer state take" in sentence and "batch" not in sentence


def test_a_device_too_small_for_anything_is_said_to_be_so(misfit):
    sentence, _ = misfit("zero_shot", 1000, "methods={zero_shot: {}}")
    assert sentence.endswith("use a smaller model, or a device with more memory")
