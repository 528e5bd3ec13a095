"""The FLOPs of training are extrapolated from a few micro-batches."""

import pytest
import torch

from hf_peft_compare.training.callbacks.train_flops import ENOUGH, TrainFlops


def batch(num_columns):
    return {"input_ids": torch.zeros(2, num_columns, dtype=torch.long)}


def multiply(num_columns):
    """2 × 2 × columns × 4 × 3 operations."""
    torch.ones(2 * num_columns, 4) @ torch.ones(4, 3)


def test_few_micro_batches_are_counted_and_all_are_added_up():
    flops = TrainFlops()
    for num_columns in [5, 7, 6, 8, 9]:
        with flops.watching(batch(num_columns)):
            multiply(num_columns)
    assert flops.num_flops == 2 * 4 * 3 * 2 * (5 + 7 + 6)  # of the first three
    assert flops.result() == pytest.approx(2 * 4 * 3 * 2 * (5 + 7 + 6 + 8 + 9))


def test_nothing_trained_is_not_zero_operations():
    assert TrainFlops().result() is None


def test_a_checkpoint_keeps_the_count():
    flops = TrainFlops()
    for _ in range(ENOUGH + 1):
        with flops.watching(batch(5)):
            multiply(5)
    resumed = TrainFlops.from_state(flops.state())
    with resumed.watching(batch(5)):
        multiply(5)
    assert resumed.result() == pytest.approx((ENOUGH + 2) * 2 * 4 * 3 * 2 * 5)


def test_a_record_has_the_arithmetic_of_its_training(train):
    record = train("full", "training.num_train_epochs=1")
    # At least six operations per weight and token: two forward, four backward.
    assert record.throughput.train_flops > 6 * 0.5 * record.parameters.total_params * record.throughput.num_train_tokens
