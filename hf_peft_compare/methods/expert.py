"""Expert: the model is told who it is before it is asked, and nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Method
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Format, Task
from hf_peft_compare.methods.hard_prompt import HardPromptSettings, after, ask


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExpertSettings(HardPromptSettings):
    """Settings of expert prompts.

    Args:
        persona: what the model is told of itself, in front of the prompt.
    """

    persona: str = "You are a world-renowned expert in this field. "


def ask_expert(settings: ExpertSettings, task: Task, task_settings: Any, train: Sequence[Example], seed: int) -> Format:
    """Ask after the persona; raises UserError as `ask`."""
    return after(ask(settings, task, task_settings, train, seed), settings.persona)


EXPERT = Method(
    name="expert",
    title="Expert prompt",
    card=Card(
        idea=(
            "The prompt opens with a persona: the model is told that it is an expert, in the hope that it goes on as "
            "one would write."
        ),
        formula=r"p_\theta(y \mid \text{persona}, x), \quad \theta \text{ as pretrained}",
        parameter_count="0",
        when_to_use=(
            "Beside zero-shot with the same template, to see whether the persona helps at all: it sets the tone of an "
            "answer more surely than its truth."
        ),
        paper="Xu et al. (2023), ExpertPrompting: Instructing Large Language Models to be Distinguished Experts",
        url="https://arxiv.org/abs/2305.14688",
    ),
    settings=ExpertSettings,
    head=lambda settings: "causal_lm",
    format=ask_expert,
)
