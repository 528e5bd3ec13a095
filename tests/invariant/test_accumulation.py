"""How an effective batch is split into micro-batches is a matter of memory: it changes no loss."""

import pytest
from tiny import METHODS, NO_DROPOUT, known


@pytest.mark.parametrize("row", METHODS)
def test_eight_times_one_equals_two_times_four(row, train):
    settings = (NO_DROPOUT, "training.num_train_epochs=1", "training.learning_rate=0.01")
    whole = train(row, *settings, folder="8x1")
    split = train(row, *settings, "training.gradient_accumulation_steps=4", folder="2x4")
    assert len(whole.history) == 4  # 24 examples are three steps of eight, and one evaluation
    for one, other in zip(whole.history, split.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-5, rel=1e-5)
    assert whole.history[0].loss != pytest.approx(whole.history[1].loss, abs=1e-3)  # the losses are not all alike
