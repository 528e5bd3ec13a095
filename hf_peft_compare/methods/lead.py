"""Lead: the first sentences of the source, a baseline that every summarizer should beat."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Floor
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.core.task import Example

# A sentence ends at . ! or ?, optionally followed by a closing quote or bracket, then whitespace and a new sentence.
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LeadSettings:
    """Settings of lead.

    Args:
        num_sentences: number of first sentences to use.
    """

    num_sentences: PositiveInt = 3


def lead(source: str, settings: LeadSettings) -> str:
    """Return the first sentences of a text, one per line as in CNN/DailyMail highlights."""
    sentences: list[str] = []
    start = 0
    for end in SENTENCE_END.finditer(source):
        sentences.append(source[start : end.end()].strip())
        start = end.end()
    sentences.append(source[start:].strip())
    return "\n".join([sentence for sentence in sentences if sentence][: settings.num_sentences])


class Lead(Floor[LeadSettings]):
    """Predict the first sentences of the source."""

    name = "lead"
    title = "Lead"
    card = Card(
        idea="The first sentences of the source, no model at all: newspapers put the news first.",
        formula=r"y = (s_1, \dots, s_k)",
        parameter_count="0",
        when_to_use="Always, as the floor of news summarization, where it is hard to beat.",
        paper="See et al. (2017), Get To The Point: Summarization with Pointer-Generator Networks",
        url="https://arxiv.org/abs/1704.04368",
    )
    settings = LeadSettings

    def predictor(self, settings: LeadSettings, train: Sequence[Example]) -> Callable[[str], str]:
        """Return a function that returns the first sentences of a text."""
        return lambda source: lead(source, settings)
