"""Median stopping of trials that are worse than most earlier ones."""


def test_giving_up_is_by_the_evaluation_of_the_same_place():
    from types import SimpleNamespace

    from hf_peft_compare.training.callbacks import MedianStopping
    from hf_peft_compare.training.callbacks.best_state import METRIC

    control = SimpleNamespace(should_training_stop=False)
    callback = MedianStopping([2.0, 1.0])
    for losses, stops in (([1.9], False), ([1.9, 0.9], False), ([1.9, 1.1], True), ([1, 1, 9.0], False)):
        control.should_training_stop = False
        state = SimpleNamespace(log_history=[{"loss": 3.0}, *({METRIC: loss} for loss in losses)])
        callback.on_evaluate(None, state, control, metrics={METRIC: losses[-1]})
        assert control.should_training_stop is stops
