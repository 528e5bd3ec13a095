"""Accuracy: whether the prediction is the label."""

from hf_peft_compare.core.registry import get_metric


def test_only_the_very_label_counts():
    scores = get_metric("accuracy").compute(["spam", "ham", "", "Spam"], ["spam", "spam", "spam", "spam"])
    assert scores == {"accuracy": [1.0, 0.0, 0.0, 0.0]}
