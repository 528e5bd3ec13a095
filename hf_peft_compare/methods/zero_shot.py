"""Zero-shot prompting, with or without an expert persona: the unchanged model as a baseline for adapted ones."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, PromptingMethod
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import AnyTask, Example, Format
from hf_peft_compare.methods.hard_prompt import HardPromptSettings, prepend, prompt_format


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ZeroShotSettings(HardPromptSettings):
    """Settings of zero-shot prompting: those of all hard prompts."""


class ZeroShot(PromptingMethod[ZeroShotSettings]):
    """Prompt the unchanged base model."""

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
        theory=(
            "Predicting the next token of web text includes solving tasks that the text happens to state, such as "
            "summaries after TL;DR (Radford et al. 2019). So a prompt chooses among what pretraining taught, and adds "
            "nothing to it. The probability of an answer mixes its truth with how common its words are (Holtzman et "
            "al. 2021), and wordings of the same meaning can differ by tens of points (Sclar et al. 2024): a score is "
            "that of model and template together. Instruction tuning narrows this gap (Wei et al. 2022)."
        ),
    )
    settings = ZeroShotSettings

    def head(self, settings: ZeroShotSettings) -> str | None:
        """Return the LM head if the row has its own template; otherwise None, for the task's head."""
        return "causal_lm" if settings.template else None

    def format(
        self, settings: ZeroShotSettings, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
    ) -> Format:
        """Return the format with the template or the task's own prompt; raise UserError as `prompt_format` does."""
        return prompt_format(settings, task, task_settings)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExpertSettings(HardPromptSettings):
    """Settings of expert prompts.

    Args:
        persona: a description of the model's role, put before the prompt.
    """

    persona: str = "You are a world-renowned expert in this field. "


class Expert(PromptingMethod[ExpertSettings]):
    """Prompt the unchanged base model with a persona."""

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
        theory=(
            "A persona conditions the model on text that experts wrote, if pretraining or instruction tuning tied the "
            "two together. With expert descriptions written for each question, answers were preferred more often (Xu "
            "et al. 2023); on questions with one true answer, personas in the system prompt gave no reliable gain "
            "over none, and which of them helped could not be told beforehand (Zheng et al. 2024). Its tokens come "
            "before each question, so it costs little, and it must be compared with the same template without it."
        ),
    )
    settings = ExpertSettings

    def head(self, settings: ExpertSettings) -> str:
        """Return the LM head."""
        return "causal_lm"

    def format(
        self, settings: ExpertSettings, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
    ) -> Format:
        """Return the format with the persona before the prompt; raise UserError as `prompt_format` does."""
        return prepend(prompt_format(settings, task, task_settings), settings.persona)
