"""Zero-shot: the untouched model, a floor under every adapted one."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from hf_peft_compare.config import STRICT
from hf_peft_compare.entries import Card, Method


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ZeroShotSettings:
    """The untouched model has no settings."""


ZERO_SHOT = Method(
    name="zero_shot",
    title="Zero-shot",
    card=Card(
        idea="The untouched model reads the same prompt as the adapted ones. What it gets right, no method taught.",
        formula=r"p_\theta(y \mid x), \quad \theta \text{ as pretrained}",
        parameter_count="0",
        when_to_use="Always, as the floor; as the answer, when it is already good enough.",
        paper="Radford et al. (2019), Language Models are Unsupervised Multitask Learners",
        url="https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf",
    ),
    settings=ZeroShotSettings,
)
