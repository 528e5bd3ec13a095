"""LoRA's own optimizers, from peft: LoRA+, LoRA-FA, and Riemannian preconditioning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hf_peft_compare.core.training_rule import TrainingRule

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

LoraOptimizer: TypeAlias = Literal["loraplus", "lorafa", "riemannian"]


class OwnOptimizer(TrainingRule):
    """A training with one of LoRA's own optimizers.

    Args:
        name: which one.
        loraplus_lr_ratio: the learning rate of B over that of A, in LoRA+.
    """

    def __init__(self, name: LoraOptimizer, *, loraplus_lr_ratio: float) -> None:
        self.name, self.ratio = name, loraplus_lr_ratio

    def optimizer(self, model: nn.Module, kind: type[Optimizer], settings: Mapping[str, Any]) -> Optimizer | None:
        """Return peft's optimizer; LoRA-FA's is an AdamW of its own, the others change what they are given."""
        from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer, create_riemannian_optimizer

        lora: Any = model
        rate, decay = settings["lr"], settings["weight_decay"]
        others = {key: value for key, value in settings.items() if key not in ("lr", "weight_decay")}
        if self.name == "lorafa":
            config = lora.active_peft_config
            return create_lorafa_optimizer(lora, config.r, config.lora_alpha, rate, decay)
        if self.name == "riemannian":
            return create_riemannian_optimizer(lora, kind, lr=rate, weight_decay=decay, **others)
        return create_loraplus_optimizer(
            lora, kind, lr=rate, loraplus_lr_ratio=self.ratio, loraplus_weight_decay=decay, **others
        )


def freeze_down_projections(model: nn.Module) -> None:
    """Freeze every A: LoRA-FA trains B alone."""
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            parameter.requires_grad_(False)
