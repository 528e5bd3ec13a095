"""Checks of a whole study before anything of it is written or trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_peft_compare import factory
from hf_peft_compare.config import RunConfig
from hf_peft_compare.data import load_examples
from hf_peft_compare.entries import get_method
from hf_peft_compare.errors import UserError
from hf_peft_compare.training import encode

WEIGHT_FILES = ("*.safetensors", "*.bin")


def check(configs: Sequence[RunConfig], *, num_processes: int) -> None:
    """Raise the UserError that any of the runs would end with: data, model, tokenizer, settings, lengths.

    Nothing is trained and no weights are loaded: models are built on the meta device.
    """
    rows = {config.row: config for config in configs}
    first = next(iter(rows.values()))
    examples = load_examples(first)
    modelled = [config for config in rows.values() if get_method(config.method["name"]).predict is None]
    if not modelled:
        return
    tokenizer = factory.load_tokenizer(first)
    base = factory.base_on_meta(first)
    _check_weights(first)
    for config in modelled:
        _check_lengths(config, base)
        factory.training_arguments(config, output_dir=Path())
        factory.micro_batch_size(
            config, accumulation=config.training.gradient_accumulation_steps, num_processes=num_processes
        )
        factory.build_on_meta(config, tokenizer, base)
    encode(min(modelled, key=lambda config: config.max_text_length), examples, tokenizer)


def _check_lengths(config: RunConfig, base: Any) -> None:
    context = getattr(base.config, "max_position_embeddings", None)
    if context is not None and config.max_length > context:
        raise UserError(
            f"max_length is {config.max_length} tokens, virtual ones counted, but the context of "
            f"{config.model_name_or_path} has {context}; set max_length to at most {context}."
        )


def _check_weights(config: RunConfig) -> None:
    folder = Path(factory.model_path(config))
    if config.init == "pretrained" and folder.is_dir() and not any(any(folder.glob(p)) for p in WEIGHT_FILES):
        raise UserError(
            f"model folder {folder} has no weights ({' or '.join(WEIGHT_FILES)}); give a folder that "
            f"save_pretrained wrote, or set init=config to begin with random weights."
        )
