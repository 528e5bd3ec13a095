"""Zero-shot: the untouched model, a floor under every adapted one."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Method
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.methods.hard_prompt import HardPromptSettings, ask


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ZeroShotSettings(HardPromptSettings):
    """Settings of zero-shot: those of every hard prompt."""


ZERO_SHOT = Method(
    name="zero_shot",
    title="Zero-shot",
    card=Card(
        idea=(
            "The untouched model reads the same prompt as the adapted ones, or one in the words of its own template. "
            "What it gets right, no method taught."
        ),
        formula=r"p_\theta(y \mid x), \quad \theta \text{ as pretrained}",
        parameter_count="0",
        when_to_use="Always, as the floor; as the answer, when it is already good enough.",
        paper="Radford et al. (2019), Language Models are Unsupervised Multitask Learners",
        url="https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf",
    ),
    settings=ZeroShotSettings,
    head=lambda settings: "causal_lm" if settings.template else None,
    format=ask,
)
