"""BestState saves the trainables of the lowest validation loss, and stops without further improvement."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerControl

from hf_peft_compare.training.callbacks import BestState
from hf_peft_compare.training.callbacks.best_state import BEST_FILE


@pytest.fixture
def evaluate(tmp_path):
    """`evaluate(callback, loss)`: one evaluation of a model whose only weight is that loss; returns the control."""
    steps = iter(range(1, 100))
    model = torch.nn.Linear(1, 1, bias=False)

    def make(callback, loss, *, first_process=True):
        state = SimpleNamespace(global_step=next(steps), epoch=0.5, is_world_process_zero=first_process)
        control = TrainerControl()
        torch.nn.init.constant_(model.weight, loss)
        callback.on_evaluate(
            SimpleNamespace(output_dir=str(tmp_path)),
            state,
            control,
            metrics={"eval_nats_per_label": loss},
            model=model,
        )
        return control

    return make


def saved(folder):
    return load_file(folder / BEST_FILE)["weight"].item()


def test_the_file_is_of_the_lowest_loss(evaluate, tmp_path):
    best = BestState(None)
    expected = {3.0: 3.0, 2.0: 2.0, 4.0: 2.0, 2.5: 2.0, 1.0: 1.0}
    for loss, kept in expected.items():
        assert not evaluate(best, loss).should_training_stop
        assert saved(tmp_path) == kept
    assert (best.best_loss, best.best_step) == (1.0, 5)


def test_it_stops_when_patience_is_at_its_end(evaluate, tmp_path):
    best = BestState(2)
    stops = [evaluate(best, loss).should_training_stop for loss in (3.0, 4.0, 2.0, 2.0, 5.0)]
    assert stops == [False, False, False, False, True]


def test_only_the_first_process_writes(evaluate, tmp_path):
    best = BestState(None)
    evaluate(best, 1.0, first_process=False)
    assert not (tmp_path / BEST_FILE).exists()
    assert best.best_loss == 1.0


def test_a_checkpoint_brings_it_back(evaluate, tmp_path):
    best = BestState(3)
    for loss in (2.0, 3.0):
        evaluate(best, loss)
    state = best.state()
    back = BestState(**state["args"])
    vars(back).update(state["attributes"])
    assert vars(back) == vars(best)
    assert back.evaluations_without_improvement == 1
