"""Entity recall: which of the reference's names and numbers does the prediction have?"""

import pytest

from hf_peft_compare.metrics.entity_recall import compute_entity_recall, entities, entity_recall


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The mayor met Anna Berg in Oslo.", {"Anna", "Berg", "Oslo"}),
        ('Yesterday it rained. Tomorrow too! Why? "Because."', set()),  # they only begin sentences
        ("He paid 1,200.50 at 10:30 for 3 owls", {"1,200.50", "10:30", "3"}),
        ("They saw Jean-Luc and O'Brien", {"Jean-Luc", "O'Brien"}),
        ("Near Zürich and Łódź", {"Zürich", "Łódź"}),
        ("the first line\nThe second with Bert", {"Bert"}),
        ("", set()),
    ],
)
def test_entities_are_numbers_and_capitalized_words_within_sentences(text, expected):
    assert entities(text) == expected


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("Anna found 12 owls", "Yesterday Anna found 12 owls", 1.0),
        ("Anna found many owls", "Yesterday Anna found 12 owls", 0.5),
        ("nothing", "Yesterday Anna found 12 owls", 0.0),
        ("Annabel found 123 owls", "Yesterday Anna found 12 owls", 0.0),  # whole words, whole numbers
        ("it rained", "it snowed", 1.0),  # nothing to recall
        ("Anna Anna Anna", "so Anna met Bert", 0.5),  # saying it often counts once
        ("Bert met Anna", "so Anna met Bert", 1.0),  # a name may begin the prediction
    ],
)
def test_recall_is_the_share_of_entities_found_as_whole_words(prediction, reference, expected):
    assert entity_recall(prediction, reference) == expected


def test_one_score_per_example():
    assert compute_entity_recall(["in Oslo", ""], ["in Oslo", "in Oslo"]) == {"entity_recall": [1.0, 0.0]}
