"""F1 as parts of examples: their mean is F1, and their spread that of F1 over samples."""

import random
from statistics import mean, pstdev

import pytest

from hf_peft_compare.metrics.accuracy import compute_accuracy
from hf_peft_compare.metrics.f1 import class_f1, compute_f1

REFERENCES = ["a", "a", "a", "b", "b", "c", "c", "c", "c", "c"]
PREDICTIONS = ["a", "b", "a", "b", "c", "c", "c", "no answer", "a", "c"]


def drawn(size, *, seed):
    """Labels of unequal classes and predictions that are right two times in three."""
    rng = random.Random(seed)
    references = rng.choices("abc", weights=(5, 3, 1), k=size)
    return [r if rng.random() < 0.66 else rng.choice("abc") for r in references], references


def test_f1_of_a_small_example_by_hand():
    # a: 2 right of 3 predicted and 3 labeled; b: 1 of 2 and 2; c: 3 of 4 and 5.
    assert class_f1(PREDICTIONS, REFERENCES) == pytest.approx({"a": 4 / 6, "b": 2 / 4, "c": 6 / 9})


def test_the_means_are_f1():
    scores = compute_f1(PREDICTIONS, REFERENCES)
    assert mean(scores["f1_macro"]) == pytest.approx((4 / 6 + 1 / 2 + 6 / 9) / 3)
    assert mean(scores["f1_weighted"]) == pytest.approx(0.3 * 4 / 6 + 0.2 * 1 / 2 + 0.5 * 6 / 9)


def test_all_right_is_one_for_everyone_and_all_wrong_is_zero():
    labels = ["a", "b", "b"]
    assert compute_f1(labels, labels) == {"f1_macro": [1.0] * 3, "f1_weighted": [1.0] * 3}
    wrong = compute_f1(["b", "a", "a"], labels)
    assert [mean(values) for values in wrong.values()] == [0, 0]


def test_accuracy_is_one_where_the_label_is_right():
    assert compute_accuracy(["a", "b", "no answer"], ["a", "a", "a"]) == {"accuracy": [1.0, 0.0, 0.0]}


@pytest.mark.parametrize("name", ["f1_macro", "f1_weighted"])
def test_the_spread_of_the_parts_is_that_of_f1_over_samples(name):
    size = 400
    f1_of_samples = [mean(compute_f1(*drawn(size, seed=seed))[name]) for seed in range(300)]
    claimed = mean(pstdev(compute_f1(*drawn(size, seed=seed))[name]) / size**0.5 for seed in range(20))
    assert claimed == pytest.approx(pstdev(f1_of_samples), rel=0.15)
