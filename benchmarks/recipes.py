"""The plain recipes: code with stock transformers and peft only; this package supplies just the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import peft
import transformers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_peft_compare.config.schema import RunConfig

# Nothing is written or printed, and rows are visited in order.
QUIET: Mapping[str, Any] = {
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "train_sampling_strategy": "sequential",
}


def random_model(config: Any, run: RunConfig) -> Any:
    """Build a causal LM with random weights, adapted according to a run's settings."""
    transformers.set_seed(run.seed)
    base = AutoModelForCausalLM.from_config(config)
    transformers.set_seed(run.seed)
    return adapt(base, run)


def adapt(base: Any, run: RunConfig) -> Any:
    """Adapt a causal LM according to a run's settings."""
    settings: dict[str, Any] = run.method
    causal_lm: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    match settings["name"]:
        case "lora":
            lora = _chosen(settings, "r", "lora_alpha", "lora_dropout", "target_modules")
            return peft.get_peft_model(base, peft.LoraConfig(**causal_lm, **lora))
        case "prompt_tuning":
            prompt = _chosen(settings, "num_virtual_tokens", "prompt_tuning_init", "prompt_tuning_init_text")
            prompt["tokenizer_name_or_path"] = run.tokenizer_name_or_path
            return peft.get_peft_model(base, peft.PromptTuningConfig(**causal_lm, **prompt))
        case "last_layers":
            return last_layers(base, num_layers=settings["num_layers"])
        case "full":
            return base
    raise ValueError(f"no plain recipe for {settings['name']}")


def _chosen(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: settings[name] for name in names}


def last_layers(base: Any, *, num_layers: int) -> Any:
    """Train the untied LM head of a GPT-2 and its last blocks."""
    base.requires_grad_(False)
    base.lm_head.weight = nn.Parameter(base.lm_head.weight.detach().clone())
    base.config.tie_word_embeddings = False
    blocks = base.transformer.h
    for block in blocks[len(blocks) - num_layers :]:
        block.requires_grad_(True)
    return base


def labeled(row: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return an encoded example with a label for every column, -100 where nothing is scored."""
    tokens = list(row["input_ids"])
    num_prompt_tokens = len(tokens) - row["num_completion_tokens"]
    return {
        "input_ids": tokens,
        "attention_mask": [1] * len(tokens),
        "labels": [-100] * num_prompt_tokens + tokens[num_prompt_tokens:],
    }


def make_trainer(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    *,
    data_collator: Any,
    callbacks: list[TrainerCallback],
    **arguments: Any,
) -> Trainer:
    """Build the stock Trainer for a model and rows, which it visits in order."""
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**QUIET, remove_unused_columns=False, **arguments),
        train_dataset=list(rows),
        data_collator=data_collator,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)  # only the table is printed
    return trainer


def arguments_of(config: RunConfig, folder: str) -> dict[str, Any]:
    """Return the fields of TrainingArguments that a run sets."""
    return {
        "output_dir": folder,
        "learning_rate": config.training.learning_rate,
        "per_device_train_batch_size": config.training.train_batch_size,
        "num_train_epochs": config.training.num_train_epochs,
        "logging_steps": config.training.logging_steps,
    }


def pad_to(max_length: int, tokenizer: Any) -> DataCollatorForSeq2Seq:
    """Return a collator that pads every batch and its labels to one length, as in examples of causal fine-tuning."""
    return DataCollatorForSeq2Seq(tokenizer, padding="max_length", max_length=max_length)
