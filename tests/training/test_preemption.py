"""A run that a scheduler stops goes on from the step in which it was stopped, and ends as if nothing had happened."""

import os
import signal

import pytest

from hf_peft_compare.training.callbacks.checkpoints import latest_checkpoint
from hf_peft_compare.training.preemption import Preempted, preemptible
from hf_peft_compare.training.trainer import ComparisonTrainer

EPOCHS = "training.num_train_epochs=3"  # of three steps each
KEYS = ("initial_trainables_sha256", "final_trainables_sha256", "history", "validation", "results", "parameters")


def numbers(record):
    return {key: getattr(record, key) for key in KEYS} | {"tokens": record.throughput.num_train_tokens}


@pytest.fixture
def stop_in_step(monkeypatch):
    """`stop_in_step(4, signal)`: send this process a signal while it does its fourth step."""

    def install(number, kind):
        steps = []
        original = ComparisonTrainer.training_step

        def step(self, *args, **kwargs):
            steps.append(self.state.global_step)
            if len(steps) == number:
                os.kill(os.getpid(), kind)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(ComparisonTrainer, "training_step", step)
        return steps

    return install


@pytest.mark.parametrize(("number", "kind"), [(1, signal.SIGTERM), (5, signal.SIGUSR1), (6, signal.SIGTERM)])
def test_a_stopped_run_ends_like_an_undisturbed_one(number, kind, train, stop_in_step, tmp_path):
    """Before the first validation, within an epoch, and at the end of one."""
    whole = train("lora", EPOCHS, folder="whole")
    steps = stop_in_step(number, kind)
    with pytest.raises(Preempted), preemptible():
        train("lora", EPOCHS, folder="stopped")
    assert latest_checkpoint(tmp_path / "stopped/checkpoints").name == f"checkpoint-{number}"
    assert not (tmp_path / "stopped/record.json").exists()
    resumed = train("lora", EPOCHS, folder="stopped")
    assert steps == list(range(9))  # no step was done twice
    assert numbers(resumed) == numbers(whole)


def test_out_of_training_it_stops_at_once():
    with pytest.raises(Preempted), preemptible():
        os.kill(os.getpid(), signal.SIGUSR1)
        pytest.fail("it went on")


def test_afterwards_signals_mean_what_they_did():
    before = signal.getsignal(signal.SIGTERM)
    with preemptible():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
