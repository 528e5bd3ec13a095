"""The memory of training by part, compared with counts by hand."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from tiny import NO_DROPOUT
from torch import nn
from transformers import Trainer

from hf_peft_compare.training.callbacks import MemoryBreakdown
from hf_peft_compare.training.callbacks.memory_breakdown import ENOUGH, KEYS
from hf_peft_compare.training.callbacks.tracking import summarize

FLOAT = 4  # bytes
B, I, H, O = 5, 7, 11, 3  # noqa: E741  rows, and the widths of input, hidden layer and output


def network():
    """Two linear layers and a tanh, and a buffer."""
    model = nn.Sequential(nn.Linear(I, H), nn.Tanh(), nn.Linear(H, O))
    model.register_buffer("scale", torch.ones(2, dtype=torch.float16))
    return model


def watched(model, num_rows, *, breakdown=None):
    """The callback after one forward and backward pass of the network."""
    breakdown = breakdown or MemoryBreakdown()
    inputs = {"x": torch.randn(num_rows, I)}
    with breakdown.watching(model, inputs):
        model(inputs["x"]).mean().backward()
    return breakdown


def test_activations_are_what_the_backward_pass_needs_beside_the_weights():
    # The first layer needs its input; the tanh its output, which is the second layer's input too.
    assert watched(network(), B).num_bytes == {"activations_bytes": FLOAT * B * (I + H)}


def test_a_frozen_layer_needs_no_input():
    model = network()
    model[0].requires_grad_(False)
    assert watched(model, B).num_bytes["activations_bytes"] == FLOAT * B * H  # only the second layer's input


def test_the_largest_micro_batch_counts():
    model, breakdown = network(), MemoryBreakdown()
    for num_rows in (2, 6, 4):
        watched(model, num_rows, breakdown=breakdown)
    assert breakdown.num_bytes["activations_bytes"] == FLOAT * 6 * (I + H)


def test_after_enough_micro_batches_of_a_size_only_larger_ones_are_watched():
    seen = []

    def watch(sizes, breakdown):
        inputs = {"x": torch.ones(sizes)}
        with breakdown.watching(nn.Linear(1, 1), inputs):
            y = inputs["x"].requires_grad_().exp()
            seen.append(_has_hook(y))

    breakdown = MemoryBreakdown()
    for sizes in [(2, 3)] * (ENOUGH + 1) + [(2, 2), (1, 4), (2, 3)]:
        watch(sizes, breakdown)
    assert seen == [True] * ENOUGH + [False, False, True, False]  # fewer rows, but longer ones


def _has_hook(tensor):
    """Whether what the tensor's graph saved went through a hook; a second one is rejected."""
    try:
        tensor.grad_fn._raw_saved_result.register_hooks(lambda x: x, lambda x: x)
    except RuntimeError:
        return True
    return False


def test_an_error_in_a_step_leaves_no_hook_and_no_count():
    breakdown = MemoryBreakdown()
    with pytest.raises(torch.OutOfMemoryError), breakdown.watching(network(), {"x": torch.ones(1)}):
        raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
    assert not _has_hook(torch.ones(2, requires_grad=True).exp())
    assert breakdown.num_bytes == {}


def test_weights_gradients_and_optimizer_are_counted_as_they_are_stored():
    model, breakdown = network(), MemoryBreakdown()
    model.tied = nn.Linear(H, O, bias=False)
    model.tied.weight = model[2].weight
    model.packed = nn.Parameter(torch.zeros(10, dtype=torch.uint8), requires_grad=False)
    breakdown.on_train_begin(SimpleNamespace(gradient_checkpointing=False), None, None, model=model)
    numbers = H * I + H + O * H + O
    assert breakdown.num_bytes == {"weights_bytes": FLOAT * numbers + 2 * 2 + 10}

    optimizer = torch.optim.AdamW(model.parameters())
    model[:3](torch.randn(B, I)).mean().backward()
    breakdown.on_pre_optimizer_step(None, None, None, model=model)
    assert breakdown.num_bytes["gradients_bytes"] == FLOAT * numbers
    optimizer.step()
    breakdown.on_optimizer_step(None, None, None, optimizer=optimizer)
    assert (
        breakdown.num_bytes["optimizer_bytes"] == 2 * FLOAT * numbers + 4 * FLOAT
    )  # and a step count for each of four


@pytest.mark.parametrize("row", ["prompt_tuning", "last_layers", "lora", "full"])
def test_a_run_records_what_its_training_took(row, train):
    record = train(row, "training.num_train_epochs=1")
    trained, total = record.parameters.trainable_params, record.parameters.total_params
    assert record.memory.weights_bytes == FLOAT * total
    assert record.memory.gradients_bytes == FLOAT * trained
    assert 0 <= record.memory.optimizer_bytes - 2 * FLOAT * trained < 4 * 1000  # two moments, and step counts
    assert record.memory.activations_bytes > 0
    assert {f"memory/{key}" for key in KEYS} <= summarize(record).keys()  # W&B has them too


def test_what_is_trained_at_the_top_needs_fewer_activations(train):
    rows = ("last_layer_head", "last_layers", "full")
    sizes = [train(row, "training.trunk_cache=false").memory.activations_bytes for row in rows]
    assert sizes == sorted(set(sizes))


def test_smaller_micro_batches_need_fewer_activations_and_nothing_else(train):
    whole, split = (
        train("lora", f"training.gradient_accumulation_steps={steps}", folder=f"by{steps}").memory for steps in (1, 4)
    )
    assert split.activations_bytes < 0.3 * whole.activations_bytes
    assert {getattr(whole, key) - getattr(split, key) for key in KEYS[:3]} == {0}


def test_after_running_out_of_memory_the_smaller_micro_batch_counts(train, monkeypatch):
    small = train("lora", NO_DROPOUT, "training.gradient_accumulation_steps=2", folder="small")
    original = Trainer.training_step

    def step(self, model, inputs, *args, **kwargs):
        loss = original(self, model, inputs, *args, **kwargs)
        if len(inputs["input_ids"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return loss

    monkeypatch.setattr(Trainer, "training_step", step)
    halved = train("lora", NO_DROPOUT, folder="halved")
    assert len(halved.notes) == 1
    assert [getattr(halved.memory, key) for key in KEYS] == [getattr(small.memory, key) for key in KEYS]


def test_a_resumed_run_knows_what_the_first_half_took(train, interrupt_at):
    whole = train("lora", folder="whole")
    steps = interrupt_at(5)
    with pytest.raises(KeyboardInterrupt):
        train("lora", folder="interrupted")
    resumed = train("lora", folder="interrupted")
    assert steps[5:] == [3, 4, 5]
    assert [getattr(resumed.memory, key) for key in KEYS] == [getattr(whole.memory, key) for key in KEYS]


def test_with_gradient_checkpointing_activations_are_unknown(train):
    memory = train("lora", "training.gradient_checkpointing=true", "training.num_train_epochs=1").memory
    assert memory.activations_bytes is None and memory.gradients_bytes > 0


def test_where_nothing_is_trained_nothing_is_taken(train):
    memory = train("zero_shot", methods={"zero_shot": {}}).memory
    assert {getattr(memory, key) for key in KEYS} == {None}


def test_counting_changes_no_bit(train, monkeypatch):
    counted = train("full", folder="counted")
    monkeypatch.setattr(MemoryBreakdown, "watching", lambda *args: nullcontext())
    plain = train("full", folder="plain")
    assert plain.memory.activations_bytes is None
    assert plain.final_trainables_sha256 == counted.final_trainables_sha256
    assert plain.history == counted.history
