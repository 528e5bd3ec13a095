"""The factory: builds tokenizer, model and `TrainingArguments` from a run's config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import PreTrainedModel, TrainingArguments

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.frozen_trunk import accept_trunk_states, find_trunk, keep_in_evaluation, keep_statistics
from hf_peft_compare.models.loading import load_tokenizer, seeded_base
from hf_peft_compare.training.arguments import NON_REENTRANT, training_arguments, use_bf16

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class RunComponents:
    """The components of one run: tokenizer, model with the method applied, and the Trainer's arguments."""

    tokenizer: Any
    model: Any
    arguments: TrainingArguments


def build(config: RunConfig, *, output_dir: Path, micro_batch_divisor: int = 1) -> RunComponents:
    """Build one run's tokenizer, model and `TrainingArguments`; the seed is set before anything is built.

    Args:
        config: the resolved run.
        output_dir: the folder of the Trainer's checkpoints.
        micro_batch_divisor: 2, 4, … after CUDA out of memory: smaller micro-batches, same effective batch.

    Raises:
        UserError: a model or tokenizer cannot be loaded, or does not support the settings.
    """
    tokenizer = load_tokenizer(config)
    base = seeded_base(config, tokenizer)
    transformers.set_seed(config.seed)  # the same initial adapters, no matter how many random numbers loading used
    model = apply_method(base, config, tokenizer)
    arguments = training_arguments(
        config, output_dir=output_dir, micro_batch_divisor=micro_batch_divisor, bf16=use_bf16(config)
    )
    return RunComponents(tokenizer=tokenizer, model=model, arguments=arguments)


def apply_method(base: PreTrainedModel, config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Apply the run's method to a base model; trainable parameters are float32 whatever the base's dtype."""
    method = config.method_type
    if not method.trains:
        return method.build(base, config.method_settings, tokenizer)
    if config.num_validation_samples == 0:
        raise UserError(
            f"num_validation_samples is 0, but {config.row} trains and needs validation examples to choose its "
            f"best state. Set num_validation_samples to 1 or more."
        )
    if config.training.gradient_checkpointing:  # before the method is applied, since a method may reject it
        base.gradient_checkpointing_enable(NON_REENTRANT)
    try:
        model = method.build(base, config.method_settings, tokenizer)
    except UserError as error:
        raise UserError(f"method {config.row}: {error}") from None
    if not any(parameter.requires_grad and parameter.numel() for parameter in model.parameters()):
        raise UserError(f"method {config.row}: its settings leave nothing to train; every parameter is frozen.")
    keep_statistics(model)
    if (trunk := find_trunk(model)) is not None:
        keep_in_evaluation(trunk)
        accept_trunk_states(trunk)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
    return model
