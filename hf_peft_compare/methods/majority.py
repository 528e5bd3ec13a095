"""Majority: predict the most frequent class of the train split, a baseline that every classifier should beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Floor
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MajoritySettings:
    """The majority class has no settings."""


def majority(settings: MajoritySettings, train: Sequence[Example]) -> Callable[[str], str]:
    """Return a function that predicts the most frequent label of train for any text; ties in alphabetical order."""
    counts = Counter(example.reference for example in train)
    most = min(counts, key=lambda label: (-counts[label], label))
    return lambda source: most


class Majority(Floor[MajoritySettings]):
    """Predict the most frequent class of train."""

    name = "majority"
    title = "Majority class"
    card = Card(
        idea="The most frequent class of the train split, whatever the text says; no model at all.",
        formula=r"y = \arg\max_c |\{i : y_i = c\}|",
        parameter_count="0",
        when_to_use="Always, as the floor of a classification, where unequal classes make a useless model look good.",
        paper="Sebastiani (2002), Machine Learning in Automated Text Categorization",
        url="https://doi.org/10.1145/505282.505283",
    )
    settings = MajoritySettings
    reads_train = True

    def predictor(self, settings: MajoritySettings, train: Sequence[Example]) -> Callable[[str], str]:
        """Return a function that predicts the most frequent class of train for any text."""
        return majority(settings, train)
