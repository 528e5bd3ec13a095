"""No-answer rate: how often a generated text could not be parsed as one of the answers."""

from __future__ import annotations

from collections.abc import Sequence

from hf_peft_compare.core.metric import Metric, Score
from hf_peft_compare.data.answers import NO_ANSWER


def compute_no_answer(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Return 1 for every example without an answer, else 0."""
    return {"no_answer": [float(prediction == NO_ANSWER) for prediction in predictions]}


class NoAnswer(Metric):
    """The share of outputs that could not be parsed as an answer."""

    name = "no_answer"
    of_classes = True
    scores = [
        Score(
            name="no_answer",
            title="No answer",
            unit="ratio",
            greater_is_better=False,
            note=(
                "No answer: the share of outputs with none of the answers, or with two. Each counts as wrong, so the "
                "lowest score of a generated answer is 0 and not chance; methods that predict a class, such as the "
                "majority class, always answer."
            ),
        )
    ]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_no_answer(predictions, references)
