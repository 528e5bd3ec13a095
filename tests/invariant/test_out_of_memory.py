"""When CUDA runs out of memory the micro-batch is halved, and the run ends as if it had been small from the start."""

import pytest
import torch
from tiny import NO_DROPOUT, known

from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.evaluation.batching import map_batches
from hf_peft_compare.training.trainer import ComparisonTrainer


@pytest.fixture
def room_for(monkeypatch):
    """`room_for(2)`: simulate a device that holds micro-batches of at most two rows."""

    def install(num_rows):
        original = ComparisonTrainer.training_step

        def step(self, model, inputs, *args, **kwargs):
            if len(inputs["input_ids"]) > num_rows:
                raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
            return original(self, model, inputs, *args, **kwargs)

        monkeypatch.setattr(ComparisonTrainer, "training_step", step)

    return install


def test_the_micro_batch_halves_until_it_fits_at_the_same_effective_batch(train, room_for):
    small = train("lora", NO_DROPOUT, "training.gradient_accumulation_steps=4", folder="small")
    room_for(2)
    halved = train("lora", NO_DROPOUT, folder="halved")
    assert halved.final_trainables_sha256 == small.final_trainables_sha256  # bit for bit
    assert halved.results == small.results
    for one, other in zip(halved.history, small.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-6)  # validation is halved too, which rounds otherwise
    assert len(halved.notes) == 2  # 8 to 4, 4 to 2
    assert "micro-batch of 8; continued with 4" in halved.notes[0]
    assert "micro-batch of 4; continued with 2" in halved.notes[1]
    assert small.notes == []


def test_a_model_that_does_not_fit_with_one_row_fails(train, room_for):
    room_for(0)
    with pytest.raises(RunFailed, match="out of memory"):
        train("lora")


def test_a_long_batch_late_in_training_costs_no_more_than_its_epoch(train, monkeypatch):
    small = train("lora", NO_DROPOUT, "training.gradient_accumulation_steps=2", folder="small")
    original = ComparisonTrainer.training_step
    steps = []

    def step(self, model, inputs, *args, **kwargs):
        steps.append(self.state.global_step)
        if self.state.global_step == 4 and len(inputs["input_ids"]) > 4:  # in the second epoch, of three steps each
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ComparisonTrainer, "training_step", step)
    halved = train("lora", NO_DROPOUT, folder="halved")
    assert steps == [0, 1, 2, 3, 4, 3, 3, 4, 4, 5, 5]  # again from the checkpoint of step 3, in two halves each
    assert len(halved.history) == len(small.history)
    for one, other in zip(halved.history, small.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-5, rel=1e-5)


def test_validation_that_does_not_fit_gets_smaller_batches(train, monkeypatch):
    whole = train("lora", NO_DROPOUT, folder="whole")
    original = ComparisonTrainer.prediction_step

    def step(self, model, inputs, *args, **kwargs):
        if len(inputs["input_ids"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return original(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ComparisonTrainer, "prediction_step", step)
    halved = train("lora", NO_DROPOUT, folder="halved")
    assert halved.validation.best_loss == pytest.approx(whole.validation.best_loss, abs=1e-5)


def test_evaluation_halves_its_batch_too():
    sizes = []

    def double(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return [2 * item for item in batch]

    assert map_batches(double, [3, 1, 2, 5, 4], lengths=[1] * 5, batch_size=5) == [6, 2, 4, 10, 8]
    assert sizes == [5, 2, 2, 1]
