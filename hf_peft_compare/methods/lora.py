"""LoRA, through peft."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.config import STRICT, PositiveInt
from hf_peft_compare.entries import Card, Method
from hf_peft_compare.methods import peft_method


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LoraSettings:
    """Settings of LoRA; names and meanings are those of `peft.LoraConfig`.

    Args:
        target_modules: names of the adapted layers; "auto": peft's own choice for the architecture.
    """

    r: PositiveInt = 8
    lora_alpha: PositiveInt = 16
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["auto"] | str | list[str] = "auto"
    bias: Literal["none", "all", "lora_only"] = "none"
    use_rslora: bool = False
    use_dora: bool = False


def build_lora(base: Any, settings: LoraSettings, tokenizer: Any) -> Any:
    """Add low-rank adapters to the frozen base."""
    return peft_method.build_peft(base, peft_method.PeftSettings(peft_type="LORA", **asdict(settings)), tokenizer)


LORA = Method(
    name="lora",
    title="LoRA",
    card=Card(
        idea=(
            "The change that fine-tuning makes to a weight matrix has low rank, so it is learned as the product of two "
            "thin matrices beside the frozen weight. B starts at zero: training starts at the untouched model."
        ),
        formula=r"W x + \frac{\alpha}{r} B A x, \quad A \in \mathbb{R}^{r \times k}, \ B \in \mathbb{R}^{d \times r}",
        parameter_count="r × (d + k) per adapted d × k matrix, a share of (d·r + r·k)/(d·k)",
        when_to_use=(
            "The default choice: near full fine-tuning in quality, a small fraction of its memory, merged into the "
            "base it costs nothing at inference."
        ),
        paper="Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models",
        url="https://arxiv.org/abs/2106.09685",
    ),
    settings=LoraSettings,
    build=build_lora,
    save=peft_method.save_peft,
    load=peft_method.load_peft,
    merge=peft_method.merge_peft,
    training_defaults={"learning_rate": 2e-4},
)
