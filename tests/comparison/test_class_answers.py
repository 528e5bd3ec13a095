"""Rows that give one answer whatever they are asked, and how answers are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from small import record

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.class_answers import count_answers
from hf_peft_compare.comparison.verdict import describe_verdict

SCORES = {name: {"title": name, "unit": "ratio", "greater_is_better": True} for name in ("accuracy", "f1_macro")}
REFERENCES = ["yes", "no", "no", "maybe"] * 50


def lines_of(answers: Sequence[str], references: Sequence[str] = REFERENCES) -> list[dict[str, Any]]:
    """Return the lines of a run with these answers."""
    return [
        {"id": str(place), "reference": wanted, "prediction": answer, "scores": {"accuracy": float(answer == wanted)}}
        for place, (answer, wanted) in enumerate(zip(answers, references, strict=True))
    ]


def said(
    answers: Mapping[str, Sequence[str]], *, scores: Mapping[str, Any] = SCORES, references: Sequence[str] = REFERENCES
) -> str:
    """Return the verdict of a study of one seed, whose rows give these answers."""
    predictions = {f"{row}-seed0": lines_of(found, references) for row, found in answers.items()}
    right = {row: [a == b for a, b in zip(found, references, strict=True)] for row, found in answers.items()}
    records = {
        f"{row}-seed0": record(row, values, scores=scores, results={name: sum(values) / len(values) for name in scores})
        for row, values in right.items()
    }
    return " ".join(describe_verdict(compare(records, predictions, expected_runs=[(row, 0) for row in answers])))


GOOD = [*REFERENCES[:150], *["no"] * 50]


def test_a_row_that_always_answers_alike_is_named_with_its_answer() -> None:
    text = said({"a": ["no"] * 200, "b": GOOD, "c": ["yes"] * 199 + ["no"], "d": ["no"] * 200})
    assert "the score is that class's share: 'no' by A and D; 'yes' by C." in text


def test_rows_that_tell_classes_apart_are_not_named() -> None:
    assert "The same answer" not in said({"a": GOOD, "b": ["no"] * 190 + ["yes"] * 10})


def test_the_majority_class_and_no_answer_at_all_are_known_by_other_words() -> None:
    assert "The same answer" not in said({"majority": ["no"] * 200, "b": GOOD, "c": ["no answer"] * 200})


def test_where_all_examples_are_of_one_class_one_answer_is_right() -> None:
    assert "The same answer" not in said({"a": ["no"] * 200, "b": GOOD}, references=["no"] * 200)


def test_texts_are_not_classes() -> None:
    assert "The same answer" not in said({"a": ["no"] * 200, "b": GOOD}, scores={"accuracy": SCORES["accuracy"]})


def test_seeds_are_counted_together() -> None:
    lines = lines_of(["yes", "no", "no", "no"], REFERENCES[:4])
    assert count_answers([lines, lines])["no", "no"] == 4
    assert count_answers([[{**lines[0], "answer": "maybe"}]]) == {("yes", "maybe"): 1}
    assert not count_answers([[{"id": "1", "prediction": "yes"}]])  # without a reference
