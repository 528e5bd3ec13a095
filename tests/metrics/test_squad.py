"""SQuAD's scores, worked out by hand."""

import pytest

from hf_peft_compare.metrics.squad import Squad, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Hyde Park.", ["hyde", "park"]),
        ("a  cat, an owl", ["cat", "owl"]),
        ("Theatre", ["theatre"]),
        ("don't", ["dont"]),
        ("the", []),
        ("", []),
    ],
)
def test_articles_punctuation_and_case_do_not_count(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("prediction", "reference", "f1", "exact"),
    [
        ("Hyde Park", "the Hyde Park", 1, 1),
        ("in Hyde Park, London", "Hyde Park", 2 * 2 / (4 + 2), 0),
        ("Hyde", "Hyde Park", 2 * 1 / (1 + 2), 0),
        ("park park", "Hyde Park", 2 * 1 / (2 + 2), 0),  # a word counts as often as both have it
        ("Park Hyde", "Hyde Park", 1, 0),
        ("London", "Hyde Park", 0, 0),
        ("", "Hyde Park", 0, 0),
        ("London", "", 0, 0),
        ("", "", 1, 1),
        ("The.", "", 1, 1),
    ],
)
def test_scores_by_hand(prediction, reference, f1, exact):
    assert Squad().compute([prediction], [reference]) == {"f1": [pytest.approx(f1)], "exact_match": [exact]}
