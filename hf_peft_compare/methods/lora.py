"""LoRA, through peft."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Choices
from hf_peft_compare.core.settings import STRICT, PositiveFloat, PositiveInt
from hf_peft_compare.core.training_rule import TrainingRule
from hf_peft_compare.methods.lora_cards import lora_variant
from hf_peft_compare.methods.lora_optimizers import LoraOptimizer, OwnOptimizer, freeze_down_projections
from hf_peft_compare.methods.peft_method import PeftBased, PeftSettings, build_peft
from hf_peft_compare.methods.peft_rates import RATES

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LoraSettings:
    """Settings of LoRA; names and meanings are those of `peft.LoraConfig`.

    By default all linear layers but the head are adapted: that matters most for reaching full fine-tuning (Dettmers et
    al. (2023), QLoRA), and the MLP more than attention (Schulman et al. (2025), LoRA Without Regret), whose alpha of 32
    is the default too.

    Args:
        r: rank of the adapters.
        lora_alpha: scale of the adapters; what they add is multiplied by `lora_alpha / r`.
        lora_dropout: probability with which a number that goes into an adapter is set to zero in training.
        bias: which biases are trained.
        use_rslora: multiply by `lora_alpha / sqrt(r)` instead, so that high ranks do not learn slowly.
        use_dora: train the length of each weight vector apart from its direction (DoRA).
        target_modules: names of the adapted layers, or a pattern; "all-linear": every linear layer but the head;
            "auto": peft's own choice for the architecture, for most the query and value projections of attention.
        optimizer: null: that of the training settings; "loraplus": B has a higher learning rate than A (Hayou et al.
            2024); "lorafa": A is frozen, and B's gradient is corrected for it (Zhang et al. 2023); "riemannian": both
            gradients are preconditioned by the other factor (Zhang and Pilanci 2024).
        loraplus_lr_ratio: the rate of B over that of A in LoRA+.
    """

    r: PositiveInt = 8
    lora_alpha: PositiveInt = 32
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["all-linear", "auto"] | str | list[str] = "all-linear"
    bias: Literal["none", "all", "lora_only"] = "none"
    use_rslora: bool = False
    use_dora: bool = False
    optimizer: LoraOptimizer | None = None
    loraplus_lr_ratio: PositiveFloat = 16.0


def build_lora(base: PreTrainedModel, settings: LoraSettings) -> PeftModel:
    """Return the frozen base with low-rank adapters."""
    values = asdict(settings)
    optimizer, _ = values.pop("optimizer"), values.pop("loraplus_lr_ratio")
    model = build_peft(base, PeftSettings(peft_type="LORA", **values))
    if optimizer == "lorafa":
        freeze_down_projections(model)
    return model


def lora_rule(settings: LoraSettings) -> TrainingRule | None:
    """Return the rule of an optimizer of LoRA's own; None: the one of the training settings is used."""
    if settings.optimizer is None:
        return None
    return OwnOptimizer(settings.optimizer, loraplus_lr_ratio=settings.loraplus_lr_ratio)


class Lora(PeftBased[LoraSettings]):
    """LoRA, through peft."""

    name = "lora"
    title = "LoRA"
    card = Card(
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
        theory=(
            "Full fine-tuning learns a change of d × k numbers for each matrix; a product of rank r has d·r + r·k, a "
            "share of (d·r + r·k)/(d·k): 1.5625 % for 1024 × 1024 at r = 8. It is injected beside linear layers: in "
            "the paper the query and value projections of attention, today all; embeddings, norms and biases stay. "
            "Expressiveness: changes of rank up to r can be had exactly, of a larger one the r strongest directions at "
            "best, and all of them at r = min(d, k). That few directions do is an observation and no theorem: "
            "fine-tuning already succeeds in a random subspace of some hundred dimensions, fewer for larger models "
            "(Aghajanyan et al. 2021). Generalization: fewer free numbers fit less noise, which helps where examples "
            "are few; where there is much to learn, low rank learns less than full fine-tuning and forgets less of "
            "what the base could do (Biderman et al. 2024)."
        ),
    )
    settings = LoraSettings
    training_defaults = {"learning_rate": RATES["LORA"].value}
    tunables = {"training.learning_rate": RATES["LORA"].range, "r": Choices(values=(4, 8, 16, 32))}

    def variant(self, settings: LoraSettings) -> tuple[str, Card] | None:
        """Return title and card of the variant that the settings choose; None: plain LoRA."""
        return lora_variant(asdict(settings))

    def build(self, base: PreTrainedModel, settings: LoraSettings, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the frozen base with low-rank adapters."""
        return build_lora(base, settings)

    def training_rule(self, settings: LoraSettings) -> TrainingRule | None:
        """Return the rule of the optimizer, if it is one of LoRA's own."""
        return lora_rule(settings)
