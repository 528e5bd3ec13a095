"""The factory: from a run's config to tokenizer, model and `TrainingArguments`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import PreTrainedModel, TrainingArguments

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.frozen_trunk import accept_trunk_states, find_trunk, keep_in_evaluation
from hf_peft_compare.models.loading import load_tokenizer, seeded_base
from hf_peft_compare.training.arguments import NON_REENTRANT, training_arguments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class RunComponents:
    """What one run trains with: the tokenizer, the model with its method applied, the Trainer's arguments."""

    tokenizer: Any
    model: Any
    arguments: TrainingArguments


def build(config: RunConfig, *, output_dir: Path, micro_batch_divisor: int = 1) -> RunComponents:
    """Build one run's tokenizer, model and `TrainingArguments`; the seed is set before anything is built.

    Args:
        config: the resolved run.
        output_dir: where the Trainer puts its checkpoints.
        micro_batch_divisor: 2, 4, … after CUDA ran out of memory: smaller micro-batches, the same effective batch.

    Raises:
        UserError: a model or tokenizer that cannot be had, or settings that they do not allow.
    """
    tokenizer = load_tokenizer(config)
    base = seeded_base(config, tokenizer)
    transformers.set_seed(config.seed)  # the same initial adapters whatever loading drew before
    model = apply_method(base, config, tokenizer)
    arguments = training_arguments(config, output_dir=output_dir, micro_batch_divisor=micro_batch_divisor)
    return RunComponents(tokenizer=tokenizer, model=model, arguments=arguments)


def apply_method(base: PreTrainedModel, config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Apply the run's method to a base model; trainable parameters are float32 whatever the base is."""
    method = config.method_type
    if not method.trains:
        return method.build(base, config.method_settings, tokenizer)
    if config.num_validation_samples == 0:
        raise UserError(
            f"num_validation_samples is 0, but {config.row} trains, and its best state is chosen by validation."
        )
    if config.training.gradient_checkpointing:  # before the method, which may have to refuse it
        base.gradient_checkpointing_enable(NON_REENTRANT)
    model = method.build(base, config.method_settings, tokenizer)
    if (trunk := find_trunk(model)) is not None:
        keep_in_evaluation(trunk)
        accept_trunk_states(trunk)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
    return model
