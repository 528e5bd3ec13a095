"""FiniteLoss stops a run whose loss is not finite, and its error names the remedy."""

import math
from types import SimpleNamespace

import pytest

from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.training.callbacks import FiniteLoss

ARGS, STATE = SimpleNamespace(learning_rate=0.5), SimpleNamespace(global_step=7)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_ends_the_run(loss):
    with pytest.raises(
        RunFailed, match=r"the training loss is .* at step 7.*Lower training.learning_rate \(it is 0.5\)"
    ):
        FiniteLoss().on_log(ARGS, STATE, None, logs={"loss": loss})
    with pytest.raises(RunFailed, match="the validation loss is"):
        FiniteLoss().on_evaluate(ARGS, STATE, None, metrics={"eval_nats_per_label": loss})


def test_numbers_and_logs_without_a_loss_pass():
    callback = FiniteLoss()
    callback.on_log(ARGS, STATE, None, logs={"loss": 1e30})
    callback.on_log(ARGS, STATE, None, logs={"train_runtime": math.nan})
    callback.on_log(ARGS, STATE, None)
    callback.on_evaluate(ARGS, STATE, None, metrics={"eval_nats_per_label": 2.0})
    with pytest.raises(RunFailed):  # the same callback does check
        callback.on_log(ARGS, STATE, None, logs={"loss": math.nan})
