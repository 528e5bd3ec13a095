"""Phases, and what is measured by them: the four clocks and the peaks of CUDA memory."""

from dataclasses import dataclass

import pytest
import torch
from transformers import TrainerControl

from hf_peft_compare.training import run as training
from hf_peft_compare.training import testing, trainer
from hf_peft_compare.training.callbacks import PeakCudaMemory, WallClock, best_state, peak_cuda_memory, wall_clock
from hf_peft_compare.training.callbacks.phases import EVALUATION, LOAD, PHASES, SAVE, TRAIN, PhaseCallback
from hf_peft_compare.training.trainer import ComparisonTrainer, make_trainer


class Phases(PhaseCallback):
    """Write the phases down."""

    def __init__(self):
        self.seen = []

    def enter(self, phase):
        self.seen.append(phase)

    def state(self):
        return {"args": {}, "attributes": {"seen": self.seen}}


def test_evaluation_and_saving_are_no_training():
    phases = Phases()
    step = TrainerControl()
    epoch = TrainerControl(should_evaluate=True, should_save=True)
    save_alone = TrainerControl(should_save=True)
    phases.on_train_begin(None, None, step)
    phases.on_step_end(None, None, step)
    phases.on_epoch_end(None, None, epoch)
    phases.on_evaluate(None, None, epoch)
    phases.on_save(None, None, epoch)
    phases.on_step_end(None, None, save_alone)
    phases.on_save(None, None, save_alone)
    phases.on_train_end(None, None, step)
    assert phases.seen == [TRAIN, EVALUATION, SAVE, TRAIN, SAVE, TRAIN, None]


def test_phases_of_a_real_run_come_in_this_order(train, monkeypatch):
    phases = Phases()
    original = make_trainer

    def with_phases(run, built, encoded, *, extra=(), **kwargs):
        return original(run, built, encoded, extra=[*extra, phases], **kwargs)

    monkeypatch.setattr(training, "make_trainer", with_phases)
    train("lora")
    assert phases.seen == [TRAIN, *[EVALUATION, SAVE, TRAIN] * 2, None]  # two epochs


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(wall_clock, "perf_counter", clock)
    return clock


def test_each_clock_runs_in_its_own_phase(time):
    clock = WallClock()
    for phase, now in [(LOAD, 1), (TRAIN, 3), (EVALUATION, 6), (TRAIN, 10), (None, 15), (None, 100)]:
        time.now = now
        clock.enter(phase)
    assert clock.seconds == {LOAD: 2, TRAIN: 3 + 5, EVALUATION: 4, SAVE: 0}
    assert set(clock.seconds) == set(PHASES)


def test_a_measured_block_is_timed_even_when_it_fails(time):
    clock = WallClock()
    with pytest.raises(ValueError), clock.measure(LOAD):
        time.now = 2
        raise ValueError
    time.now = 50
    with clock.measure(SAVE):
        time.now = 53
    assert (clock.seconds[LOAD], clock.seconds[SAVE]) == (2, 3)


def test_a_checkpoint_keeps_the_seconds_until_now(time):
    clock = WallClock()
    clock.enter(TRAIN)
    time.now = 4
    assert clock.state()["attributes"]["seconds"][TRAIN] == 4
    time.now = 5
    clock.enter(None)
    assert clock.seconds[TRAIN] == 5  # it ran on


@pytest.mark.parametrize(
    ("module", "slow", "phase", "calls"),
    [
        (trainer, "_nats_per_label", EVALUATION, 2),  # once per epoch
        (testing, "score_completions", EVALUATION, 1),
        (testing, "generate_tokens", EVALUATION, 1),
        (trainer, "save_trainables", SAVE, 2),  # a checkpoint per epoch
        (best_state, "save_trainables", SAVE, 2),  # the validation loss gets better twice
        (training, "encode", LOAD, 1),
        (training, "build", LOAD, 1),
        (ComparisonTrainer, "training_step", TRAIN, 6),  # two epochs of three steps
    ],
)
def test_what_takes_time_is_on_its_own_clock_and_on_no_other(module, slow, phase, calls, train, monkeypatch, time):
    original = getattr(module, slow)

    def slowly(*args, **kwargs):
        time.now += 100
        return original(*args, **kwargs)

    monkeypatch.setattr(module, slow, slowly)
    seconds = train("lora", "training.learning_rate=0.01").seconds
    assert seconds == dict.fromkeys(PHASES, 0) | {phase: 100 * calls}


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
    }


class FakeCuda:
    """A device whose allocator a test plays."""

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
    memory = PeakCudaMemory()  # 100 bytes stand there before
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
    }


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
