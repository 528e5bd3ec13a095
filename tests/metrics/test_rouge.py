"""ROUGE per example, exactly as the `rouge_score` package has it, without network or bootstrap."""

import socket

import pytest
from rouge_score.rouge_scorer import RougeScorer

from hf_peft_compare.metrics.rouge import Rouge, compute_rouge, rouge_metric

PREDICTIONS = ["The cat sat on the mat.", "", "Anna found 12 owls\nnear the mill", "same words here"]
REFERENCES = ["A cat was on the mat.", "something", "12 owls found near the old mill\nby Anna", "same words here"]


def test_every_score_of_every_example_is_rouge_scores_own():
    scores = compute_rouge(PREDICTIONS, REFERENCES)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    for i, (prediction, reference) in enumerate(zip(PREDICTIONS, REFERENCES, strict=True)):
        for kind, parts in scorer.score(reference, prediction).items():
            for part in ("precision", "recall", "fmeasure"):
                assert scores[f"{kind}_{part}"][i] == getattr(parts, part)
    assert len(scores) == 12


def test_values_by_hand():
    # "the cat" against "the cat sat down": 2 of 2 words found, 2 of 4; 1 of 1 pairs, 1 of 3.
    scores = {name: value for name, (value,) in compute_rouge(["the cat"], ["the cat sat down"]).items()}
    assert (scores["rouge1_precision"], scores["rouge1_recall"]) == (1, 0.5)
    assert scores["rouge1_fmeasure"] == pytest.approx(2 / 3)
    assert (scores["rouge2_precision"], scores["rouge2_recall"]) == pytest.approx((1, 1 / 3))


def test_the_sum_variant_scores_line_by_line():
    # Lines in another order: the longest common subsequence of the whole text sees one of them, line by line both.
    (whole,), (lines,) = (
        compute_rouge(["a b\nc d"], ["c d\na b"])[name] for name in ("rougeL_recall", "rougeLsum_recall")
    )
    assert (whole, lines) == (0.5, 1.0)


def test_the_first_score_is_the_ranking_one():
    assert Rouge.scores[0].name == "rougeL_fmeasure"
    assert all(score.greater_is_better for score in Rouge.scores)


def test_no_network_is_used(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("ROUGE opened a connection")

    rouge_metric.cache_clear()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert compute_rouge(["a"], ["a"])["rouge1_fmeasure"] == [1.0]


def test_scores_of_an_example_do_not_depend_on_the_others():
    together = compute_rouge(PREDICTIONS, REFERENCES)
    alone = [compute_rouge([p], [r]) for p, r in zip(PREDICTIONS, REFERENCES, strict=True)]
    assert together == {name: [one[name][0] for one in alone] for name in together}


@pytest.mark.parametrize("reference", ["猫坐在垫子上", "Кот сидит на ковре с 1998 года"])
def test_what_the_package_does_not_read_is_refused(reference):
    """Of such texts only the digits are compared: the reference itself scores 0, or another text 1."""
    assert "letters than a to z and digits" in Rouge().refusal(reference)
    assert all(Rouge().refusal(read) is None for read in ("Für Größe 40: die Tür ist zu.", "🙂", ""))
