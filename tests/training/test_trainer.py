"""The Trainer around a run: what is kept of its log."""

from hf_peft_compare.records.parts import HistoryEntry
from hf_peft_compare.training.trainer import history


def test_history_keeps_the_loss_curves_and_nothing_of_the_clock():
    log = [
        {"loss": 2.0, "grad_norm": 1.0, "learning_rate": 0.1, "epoch": 0.5, "step": 1},
        {"eval_loss": 9.0, "eval_nats_per_label": 1.5, "eval_runtime": 3.0, "epoch": 1.0, "step": 2},
        {"train_runtime": 10.0, "train_loss": 1.0, "epoch": 1.0, "step": 2},
    ]
    assert history(log) == [
        HistoryEntry(step=1, epoch=0.5, loss=2.0, learning_rate=0.1, grad_norm=1.0),
        HistoryEntry(step=2, epoch=1.0, eval_loss=1.5),
    ]
