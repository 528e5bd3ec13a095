"""Zero-shot, and zero-shot after the persona of an expert: the untouched model, a floor under every adapted one."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, PromptingMethod
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import AnyTask, Example, Format
from hf_peft_compare.methods.hard_prompt import HardPromptSettings, after, ask


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ZeroShotSettings(HardPromptSettings):
    """Settings of zero-shot: those of every hard prompt."""


class ZeroShot(PromptingMethod[ZeroShotSettings]):
    """Ask the untouched model."""

    name = "zero_shot"
    title = "Zero-shot"
    card = Card(
        idea=(
            "The untouched model reads the same prompt as the adapted ones, or one in the words of its own template. "
            "What it gets right, no method taught."
        ),
        formula=r"p_\theta(y \mid x), \quad \theta \text{ as pretrained}",
        parameter_count="0",
        when_to_use="Always, as the floor; as the answer, when it is already good enough.",
        paper="Radford et al. (2019), Language Models are Unsupervised Multitask Learners",
        url="https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf",
    )
    settings = ZeroShotSettings

    def head(self, settings: ZeroShotSettings) -> str | None:
        """Return the head of a language model where the row asks in words of its own; else the task's."""
        return "causal_lm" if settings.template else None

    def format(
        self, settings: ZeroShotSettings, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
    ) -> Format:
        """Ask by the template, or by the task's own prompt; raises UserError as `ask`."""
        return ask(settings, task, task_settings)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExpertSettings(HardPromptSettings):
    """Settings of expert prompts.

    Args:
        persona: what the model is told of itself, in front of the prompt.
    """

    persona: str = "You are a world-renowned expert in this field. "


class Expert(PromptingMethod[ExpertSettings]):
    """Ask the untouched model after a persona."""

    name = "expert"
    title = "Expert prompt"
    card = Card(
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
    )
    settings = ExpertSettings

    def head(self, settings: ExpertSettings) -> str:
        """Return the head of a language model."""
        return "causal_lm"

    def format(
        self, settings: ExpertSettings, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
    ) -> Format:
        """Ask after the persona; raises UserError as `ask`."""
        return after(ask(settings, task, task_settings), settings.persona)
