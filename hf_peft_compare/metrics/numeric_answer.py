"""Numeric answer: whether the last number of the prediction is the last one of the reference.

This is how GSM8K's answers are usually scored (Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems"),
whose references end with "#### 72". A number may have a sign, commas between thousands and a decimal point; currency
signs and units beside it do not count. A minus after a letter or a digit is none: "3-5" ends with 5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from hf_peft_compare.core.metric import Metric, Score

NUMBER = re.compile(r"(?:(?<![\w)\]])[-−])?[$€£]?((?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)")


def last_number(text: str) -> Decimal | None:
    """Return the last number of a text; None: it has none."""
    found = None
    for found in NUMBER.finditer(text):  # noqa: B007  # the last one is wanted
        pass
    if found is None:
        return None
    value = Decimal(found[1].replace(",", ""))
    return -value if found[0][0] in "-−" else value


@dataclass(frozen=True, kw_only=True)
class NumericAnswer(Metric):
    """Whether the last number of the prediction is that of the reference; a prediction without a number is wrong.

    Args:
        tolerance: the largest difference between two numbers that count as equal.
    """

    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    name = "numeric_answer"
    scores = (
        Score(name="numeric_answer", title="Numeric answer", unit="ratio", greater_is_better=True),
        Score(
            name="no_number",
            title="No number",
            unit="ratio",
            greater_is_better=False,
            note="No number: the share of outputs without any number. Each counts as a wrong answer.",
        ),
    )

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return whether each number is right, and whether there is none."""
        found = list(map(last_number, predictions))
        right = [self._equal(number, last_number(ref)) for number, ref in zip(found, references, strict=True)]
        return {"numeric_answer": list(map(float, right)), "no_number": [float(number is None) for number in found]}

    def _equal(self, number: Decimal | None, reference: Decimal | None) -> bool:
        if number is None or reference is None:
            return False
        return abs(number - reference) <= Decimal(str(self.tolerance))

    def refusal(self, reference: str) -> str | None:
        """Return that a reference has no number, if so."""
        return "has no number" if last_number(reference) is None else None
