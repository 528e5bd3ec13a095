"""Finished runs of every kind on one small base, created without training: their parameters are changed at random."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.models.loading import load_base, load_tokenizer, prepare_base
from hf_peft_compare.records.record import RunRecord, write_record
from hf_peft_compare.training import factory

TEXTS = ["Rain fell on the north.", "A short one.", "The council met for the third time on Monday, and left at noon."]
METHODS: dict[str, dict[str, Any]] = {
    "soft": {"name": "prompt_tuning", "num_virtual_tokens": 4},
    "lora": {"name": "lora", "r": 2},
    "lora_bias": {"name": "lora", "r": 2, "bias": "all"},
    "lora_norm": {"name": "peft", "peft_type": "LORA", "r": 2, "modules_to_save": ["ln_f"]},
    "ia3": {"name": "peft", "peft_type": "IA3"},
    "p_tuning": {"name": "peft", "peft_type": "P_TUNING", "num_virtual_tokens": 3, "encoder_hidden_size": 8},
    "prefix": {"name": "peft", "peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3},
    "last_layers": {"name": "last_layers", "num_layers": 1},
    "full": {"name": "full"},
    "zero_shot": {"name": "zero_shot"},
    "lead": {"name": "lead", "num_sentences": 1},
}


def save_base(folder: Path) -> Path:
    """Save a model of two layers and a tokenizer of bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<eos>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    # Wide random weights, so that generated text depends on the whole input.
    shape: dict[str, Any] = {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 128, "initializer_range": 0.4}
    GPT2LMHeadModel(GPT2Config(**shape, vocab_size=len(tokenizer))).save_pretrained(folder)
    return folder


def make_config(base: Path, row: str, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "study": "tiny",
        "row": row,
        "seed": 0,
        "task": {"name": "summarization", "prompt_suffix": " TL;DR:"},
        "method": METHODS[row],
        "dataset": "embedded",
        "model_name_or_path": str(base),
        "max_length": 64,
        "generation": GenerationConfig(max_new_tokens=12),
    }
    return RunConfig(**settings | changes)


def make_record(config: RunConfig, **changes: Any) -> RunRecord:
    method = get_method(config.method["name"])
    record: dict[str, Any] = {
        "status": "finished",
        "error": None,
        "study": config.study,
        "row": config.row,
        "method": method.name,
        "seed": config.seed,
        "config": asdict(config),
        "config_origins": {},
        "config_hash": config.hash,
        "card": {"title": method.title, **asdict(method.card)},
        "scores": {
            "rougeL_fmeasure": {"title": "ROUGE-L F", "unit": "ratio", "greater_is_better": True},
            "test_loss": {"title": "Test loss", "unit": "nats per token", "greater_is_better": False},
        },
        "parameters": {"trainable_params": 50, "total_params": 1000},
        "results": {"test_loss": 2.5, "rougeL_fmeasure": 0.25},
        "seconds": {"train": 12.0},
        "provenance": {"device": "CPU", "commit": "0123abc", "versions": {"torch": "2"}},
    }
    return RunRecord(**record | changes)


def make_run(folder: Path, config: RunConfig) -> Any:
    """Write a finished run's folder with randomly changed trained parameters; return the saved model."""
    method = get_method(config.method["name"])
    write_record(make_record(config), folder)
    if not method.uses_model:
        return None
    torch.manual_seed(config.seed)
    tokenizer, base = load_tokenizer(config), load_base(config)
    prepare_base(base, tokenizer)
    model = factory.apply_method(base, config, tokenizer)
    noise = torch.Generator().manual_seed(len(config.row))
    with torch.no_grad():
        for parameter in (p for p in model.parameters() if p.requires_grad):
            parameter += 0.3 * torch.randn(parameter.shape, generator=noise)
    if method.trains:
        method.save(model, folder / "model")
    return model.eval()


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(**tokenizer(TEXTS[0], return_tensors="pt", return_token_type_ids=False)).logits
