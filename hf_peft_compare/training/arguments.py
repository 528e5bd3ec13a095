"""A run's training settings as `TrainingArguments`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from transformers import TrainingArguments

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.utils.bf16 import cpu_has_bf16, trains_in_bf16
from hf_peft_compare.utils.distributed import on_cpu, process_state

# Reentrant checkpointing loses the gradients of the layers that are trained above a frozen base.
NON_REENTRANT = {"use_reentrant": False}
# Training settings that `TrainingArguments` lacks or names differently.
OURS = {
    "train_batch_size",
    "eval_batch_size",
    "early_stopping_patience",
    "bf16",
    "warmup_ratio",
    "packing",
    "trunk_cache",
    "trunk_cache_max_bytes",
}


def training_arguments(
    config: RunConfig, *, output_dir: Path, micro_batch_divisor: int = 1, bf16: bool = False
) -> TrainingArguments:
    """Build `TrainingArguments` from a run's training settings.

    Args:
        bf16: whether to train in bf16, see `use_bf16`.

    Raises:
        UserError: the effective batch is not divisible by processes times accumulation steps, or transformers
            rejects a value.
    """
    settings = asdict(config.training)
    for ours in OURS:
        settings.pop(ours)
    cuda = torch.cuda.is_available()
    if settings["dataloader_num_workers"] is None:
        settings["dataloader_num_workers"] = 2 if cuda else 0
    if not settings["gradient_checkpointing"]:
        del settings["gradient_checkpointing"]  # newer releases warn whenever the argument is passed
    accumulation = config.training.gradient_accumulation_steps * micro_batch_divisor
    try:
        arguments = TrainingArguments(
            output_dir=str(output_dir),
            **settings
            | {
                "gradient_accumulation_steps": accumulation,
                "per_device_train_batch_size": divide_batch(
                    config, accumulation=accumulation, num_processes=process_state().num_processes
                ),
                "per_device_eval_batch_size": max(config.training.eval_batch_size // micro_batch_divisor, 1),
                "warmup_steps": config.training.warmup_ratio,  # a value below 1 is a ratio
            },
            bf16=bf16,
            use_cpu=on_cpu(),
            seed=config.seed,
            data_seed=config.seed,
            label_names=["labels"],
            remove_unused_columns=False,
            metric_for_best_model="nats_per_label",
            greater_is_better=False,
            save_strategy=config.training.eval_strategy,
            save_steps=config.training.eval_steps,
            save_total_limit=2,
            logging_strategy="steps",
            logging_nan_inf_filter=False,  # a NaN loss must show up in the log
            restore_callback_states_from_checkpoint=True,
            ddp_find_unused_parameters=False,
            gradient_checkpointing_kwargs=NON_REENTRANT if config.training.gradient_checkpointing else None,
            dataloader_pin_memory=cuda,
            dataloader_persistent_workers=settings["dataloader_num_workers"] > 0,
            accelerator_config={"non_blocking": cuda},  # the host need not wait for copies from pinned memory
            report_to="none",
            disable_tqdm=True,
        )
    except ValueError as error:  # transformers does not know this optimizer or schedule
        raise UserError(f"training settings of {config.row}: {' '.join(str(error).split())}") from None
    if arguments.n_gpu > 1:  # one process uses one device; the Trainer would split batches over all visible GPUs
        arguments._n_gpu = 1
    return arguments


def divide_batch(config: RunConfig, *, accumulation: int, num_processes: int) -> int:
    """Return the micro-batch size: the effective batch divided by processes and accumulation steps.

    Raises:
        UserError: the effective batch is not divisible by them.
    """
    size, rest = divmod(config.training.train_batch_size, num_processes * accumulation)
    if rest or not size:
        raise UserError(
            f"training.train_batch_size is {config.training.train_batch_size}; it must be divisible by {num_processes} "
            f"process(es) × {accumulation} gradient accumulation step(s). Change one of them."
        )
    return size


def note_on_batch(config: RunConfig, num_train: int | None) -> list[str]:
    """Return a note on an effective batch that is larger than the train split, if it is."""
    size = config.training.train_batch_size
    if num_train is None or size <= num_train:
        return []
    return [f"training.train_batch_size is {size:,}, above the {num_train:,} train examples: each step takes them all."]


def use_bf16(config: RunConfig) -> bool:
    """Return whether the run trains in bf16 on this machine."""
    cuda = torch.cuda.is_available()
    native = torch.cuda.is_bf16_supported(including_emulation=False) if cuda else on_cpu() and cpu_has_bf16()
    return trains_in_bf16(config, lambda: load_architecture(config), native=native, cuda=cuda)
