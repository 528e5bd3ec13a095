"""What peft's models need to be trained, scored and planned as all others are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def adjust(model: Any) -> Any:
    """Return a peft model that reads labels of the last K columns, and trains only what its loss depends on."""
    config = config_of(model)
    prepends = config.is_prompt_learning and config.peft_type.value not in ("PREFIX_TUNING", "CARTRIDGE")
    shadows = config.peft_type.value == "SHADOW"
    if (prepends or shadows) and config.task_type == "CAUSAL_LM":
        model.register_forward_pre_hook(_widen_labels, with_kwargs=True)
    if shadows:
        _adjust_shadow(model.base_model)
    if config.peft_type.value == "ADALORA" and config.inference_mode:
        model.base_model.trainable_adapter_name = model.active_adapter  # read with labels, but set for training alone
    return model


def config_of(model: Any) -> Any:
    """Return the config of a peft model's adapter."""
    return model.active_peft_config


def widen(labels: Tensor, width: int) -> Tensor:
    """Return labels [B, K] of the last K of `width` columns as labels [B, width]."""
    from torch.nn.functional import pad

    return pad(labels, (width - labels.shape[1], 0), value=-100)


def _widen_labels(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Widen labels [B, K] to [B, T], since peft expects them, and for virtual tokens prepends others."""
    labels, tokens = kwargs.get("labels"), kwargs.get("input_ids")
    if labels is not None and tokens is not None:
        kwargs["labels"] = widen(labels, tokens.shape[1])
        kwargs.pop("logits_to_keep", None)
    return args, kwargs


def _adjust_shadow(tuner: Any) -> None:
    """Let SHADOW's network read positions from the mask, and freeze what no loss depends on.

    That is the update of its state after the last block, and embeddings in place of which it reads the base's.
    """
    from hf_peft_compare.data.position_ids import count_positions_from_mask

    for name, backbone in tuner.shadow_backbone.items():
        count_positions_from_mask(backbone)
        if tuner._shadow_share_embeddings.get(name):
            with suppress(NotImplementedError):  # peft took them away already
                backbone.get_input_embeddings().requires_grad_(False)
    *_, last = [module for module in tuner.model.modules() if hasattr(module, "shadow_update_gate")]
    last.shadow_update_gate.requires_grad_(False)
    last.shadow_update_transform.requires_grad_(False)


def with_values(adapt: Callable[[PreTrainedModel, Any], Any]) -> Callable[[PreTrainedModel, Any], Any]:
    """Return a function that adapts a base on the meta device as one with values, for types that read the weights."""
    import torch

    def adapted(base: PreTrainedModel, config: Any) -> Any:
        if base.device.type != "meta":
            return adapt(base, config)
        with torch.device("cpu"), torch.random.fork_rng(), torch.no_grad():
            base.to_empty(device="cpu")
            for parameter in base.parameters():
                parameter.normal_(std=0.02)
            model = adapt(base, config).to("meta")
        model.get_base_model().tie_weights()
        return model

    return adapted
