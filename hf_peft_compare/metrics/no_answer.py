"""No-answer rate: how often what a model wrote could not be read as one of the answers."""

from __future__ import annotations

from collections.abc import Sequence

from hf_peft_compare.core.metric import Metric, Score
from hf_peft_compare.data.answers import NO_ANSWER


def compute_no_answer(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """Give 1 for every example without an answer, else 0."""
    return {"no_answer": [float(prediction == NO_ANSWER) for prediction in predictions]}


class NoAnswer(Metric):
    """How often no answer could be read."""

    name = "no_answer"
    scores = [
        Score(
            name="no_answer",
            title="No answer",
            unit="ratio",
            greater_is_better=False,
            note=(
                "No answer: the share of outputs that give none of the answers, or two. Each counts as wrong, so where "
                "an answer is generated the floor is 0 and not chance; what tells a class, such as the majority, "
                "always answers."
            ),
        )
    ]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_no_answer(predictions, references)
