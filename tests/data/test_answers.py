"""Reading an answer: the rule of `hf_peft_compare.data.answers`, case by case."""

import pytest

from hf_peft_compare.data.answers import NO_ANSWER, read_answer

YES_NO = {"entailment": ["yes"], "neutral": ["maybe", "not sure"], "contradiction": ["no"]}
TRUTH = {"true": ["true", "correct"], "false": ["false", "incorrect", "not true"]}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("yes", "entailment"),
        (" YES.", "entailment"),
        ("“Yes”, it does.", "entailment"),
        ("The answer is: no!", "contradiction"),
        ("\n\n  Maybe\nyes", "neutral"),  # the first line that is not empty
        ("yes\n\nPremise: no, no", "entailment"),  # what is written after it does not count
        ("I am not sure", "neutral"),  # an answer of two words
    ],
)
def test_an_answer_is_read(text, label):
    assert read_answer(text, YES_NO) == label


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n ",
        "nothing of the kind",  # "no" is no word of its own
        "yes and no",  # two answers
        "It is not yes",  # denied
        "The premise is about a fox.",
    ],
)
def test_no_answer_is_guessed(text):
    assert read_answer(text, YES_NO) == NO_ANSWER


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("This statement is not true.", "false"),  # the longer answer counts, not the one within it
        ("Incorrect.", "false"),
        ("It's correct", "true"),
        ("untrue", NO_ANSWER),
        ("That isn’t correct", NO_ANSWER),
        ("True or false", NO_ANSWER),
        ("true, true, TRUE", "true"),  # the same answer again is one answer
    ],
)
def test_overlapping_answers(text, label):
    assert read_answer(text, TRUTH) == label


def test_an_apostrophe_in_an_answer_may_be_a_curly_one():
    assert read_answer("It isn't so", {"no": ["isn’t so"]}) == "no"


def test_text_from_a_model_may_be_anything():
    for text in ("\x00", "<script>true</script>", "true" * 1000, "🦊 true 🦊"):
        assert read_answer(text, TRUTH) in {"true", NO_ANSWER}
