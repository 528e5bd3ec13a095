"""Peaks of CUDA memory of each phase."""

import pytest
import torch

from hf_peft_compare.training.callbacks import PeakCudaMemory, peak_cuda_memory
from hf_peft_compare.training.callbacks.phases import EVALUATION, SAVE, TRAIN


def test_memory_is_none_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    memory = PeakCudaMemory()
    memory.enter(TRAIN)
    memory.enter(None)
    assert memory.results() == {
        "baseline_bytes": None,
        "train_peak_allocated_bytes": None,
        "train_peak_reserved_bytes": None,
        "evaluation_peak_allocated_bytes": None,
        "evaluation_peak_reserved_bytes": None,
        "allocated_after_training_bytes": None,
    }


class FakeCuda:
    """A fake device whose allocator a test controls."""

    def __init__(self):
        self.allocated = self.peak = 100

    def use(self, num_bytes):
        self.allocated = num_bytes
        self.peak = max(self.peak, num_bytes)

    def reset(self):
        self.peak = self.allocated


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    functions = {
        "is_available": lambda: True,
        "memory_allocated": lambda: fake.allocated,
        "max_memory_allocated": lambda: fake.peak,
        "max_memory_reserved": lambda: 2 * fake.peak,
        "reset_peak_memory_stats": fake.reset,
    }
    for name, function in functions.items():
        monkeypatch.setattr(peak_cuda_memory.torch.cuda, name, function)
    return fake


def test_peaks_are_above_the_baseline_and_of_their_own_phase(cuda):
    memory = PeakCudaMemory()  # 100 bytes are allocated before
    cuda.use(5000)  # loading
    cuda.use(300)
    for phase, most in [(TRAIN, 900), (EVALUATION, 2000), (SAVE, 7000), (TRAIN, 800), (EVALUATION, 400), (None, 9000)]:
        memory.enter(phase)
        cuda.use(most)
        cuda.use(300)
    memory.enter(None)
    assert memory.results() == {
        "baseline_bytes": 100,
        "train_peak_allocated_bytes": 900 - 100,
        "train_peak_reserved_bytes": 2 * 900 - 100,
        "evaluation_peak_allocated_bytes": 2000 - 100,
        "evaluation_peak_reserved_bytes": 2 * 2000 - 100,
        "allocated_after_training_bytes": None,
    }


def test_what_is_left_when_training_ends_is_above_the_baseline_too(cuda):
    memory = PeakCudaMemory()
    memory.enter(TRAIN)
    cuda.use(900)
    cuda.use(350)
    memory.on_train_end(None, None, None)
    cuda.use(5000)
    assert memory.results()["allocated_after_training_bytes"] == 350 - 100
    assert memory.results()["train_peak_allocated_bytes"] == 900 - 100


def test_a_checkpoint_keeps_the_peaks_until_now(cuda):
    memory = PeakCudaMemory()
    memory.enter(TRAIN)
    cuda.use(900)
    assert memory.state()["attributes"]["peaks"]["train_peak_allocated_bytes"] == 800
    cuda.use(1000)
    memory.enter(None)
    assert memory.results()["train_peak_allocated_bytes"] == 900


def test_the_peaks_of_an_attempt_that_ran_out_of_memory_do_not_count(cuda):
    memory = PeakCudaMemory()
    memory.enter(TRAIN)
    cuda.use(9000)
    cuda.use(300)
    memory.forget()
    memory.enter(TRAIN)
    cuda.use(400)
    memory.enter(None)
    assert memory.results()["train_peak_allocated_bytes"] == 400 - 100
