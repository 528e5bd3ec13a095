"""One-shot: a solved example before the question, and nothing trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Method
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.methods.hard_prompt import ShotsSettings, ask_after_shots


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OneShotSettings(ShotsSettings):
    """Settings of one-shot.

    Args:
        shots: 1, to draw it from train by the run's seed; or a list of one solved example.
    """

    shots: Literal[1] | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1)] = 1


ONE_SHOT = Method(
    name="one_shot",
    title="One-shot",
    card=Card(
        idea=(
            "One solved example stands before the question. It shows the form of an answer more than the task itself: "
            "a model that rambled without it now answers with one of the words that were asked for."
        ),
        formula=r"p_\theta(y \mid x_1, y_1, x), \quad \theta \text{ as pretrained}",
        parameter_count="0",
        when_to_use=(
            "When zero-shot answers cannot be read. Each question costs the tokens of the example too, and which "
            "example it is can matter much: run several seeds."
        ),
        paper="Brown et al. (2020), Language Models are Few-Shot Learners",
        url="https://arxiv.org/abs/2005.14165",
    ),
    settings=OneShotSettings,
    head=lambda settings: "causal_lm",
    format=ask_after_shots,
    reads_train=True,
)
