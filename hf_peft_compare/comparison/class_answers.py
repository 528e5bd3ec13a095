"""The answers to a task with classes, and the rows that give the same one whatever they are asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from hf_peft_compare.comparison.example_scores import Predictions
from hf_peft_compare.comparison.rows import MethodRow
from hf_peft_compare.utils.formatting import join_words

NEARLY_ALL = 0.99  # of the test examples


def count_answers(runs: Iterable[Predictions]) -> Counter[tuple[str, str]]:
    """Count (reference, answer) pairs; a generated text counts as the answer parsed from it."""
    return Counter(
        (str(line["reference"]), str(line.get("answer", line.get("prediction"))))
        for run in runs
        for line in run
        if "reference" in line and "prediction" in line  # none in what is published without predictions
    )


def describe_one_answer(rows: Iterable[MethodRow], class_counts: Mapping[str, int]) -> Iterator[str]:
    """Yield the rows that answer one class on nearly all test examples, though these are of several.

    The majority class does so by design, and is not named.
    """
    if max(class_counts.values(), default=0) > NEARLY_ALL * sum(class_counts.values()):
        return
    found: dict[str, list[str]] = {}
    for row in rows:
        answers = Counter(row.answers)
        by_design = row.record is not None and row.record.method == "majority"
        for answer, number in answers.most_common(1):
            if number >= NEARLY_ALL * answers.total() and answer in class_counts and not by_design:
                found.setdefault(answer, []).append(row.label)
    if found:
        words = "; ".join(f"{answer!r} by {join_words(labels)}" for answer, labels in found.items())
        yield f"The same answer to all test examples, or nearly all, so the score is that class's share: {words}."
