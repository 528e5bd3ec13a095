"""The four clocks."""

from dataclasses import dataclass

import pytest

from hf_peft_compare.evaluation import prediction
from hf_peft_compare.training import run as training
from hf_peft_compare.training import trainer
from hf_peft_compare.training.callbacks import WallClock, best_state, wall_clock
from hf_peft_compare.training.callbacks.phases import EVALUATION, LOAD, PHASES, SAVE, TRAIN
from hf_peft_compare.training.trainer import ComparisonTrainer


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
        (prediction, "score_completions", EVALUATION, 1),
        (prediction, "generate_tokens", EVALUATION, 1),
        (trainer, "save_trainables", SAVE, 2),  # a checkpoint per epoch
        (best_state, "save_trainables", SAVE, 2),  # the validation loss gets better twice
        (training, "tokenize_splits", LOAD, 1),
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
    assert vars(seconds) == dict.fromkeys(PHASES, 0) | {phase: 100 * calls}
