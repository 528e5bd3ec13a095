"""Text generation, one completion per prompt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
import transformers

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.data.collators import pad, to_device
from hf_peft_compare.evaluation.batching import adds_prompt, count_virtual_tokens, map_batches
from hf_peft_compare.evaluation.shared_start import SharedStart
from hf_peft_compare.models.heads import lm_head_of
from hf_peft_compare.utils.sharding import is_sharded


def decode(tokenizer: Any, completions: Sequence[Sequence[int]]) -> list[str]:
    """Decode generated tokens into text without special tokens."""
    return [tokenizer.decode(list(ids), skip_special_tokens=True).strip() for ids in completions]


def arguments_of(generation: GenerationConfig) -> dict[str, Any]:
    """Return the arguments of `generate` that the settings give, whatever the model and the tokenizer."""
    sampling: dict[str, Any] = {"do_sample": False}
    if generation.temperature is not None:
        sampling = {"do_sample": True, "top_k": 0}  # transformers' default would restrict sampling to the top 50 tokens
    given = {name: value for name, value in asdict(generation).items() if value is not None}
    del given["use_base_config"]
    return {**sampling, **given}


@torch.inference_mode()
def generate_tokens(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    generation: GenerationConfig,
    batch_size: int,
    share_start: bool = False,
) -> list[list[int]]:
    """Generate the tokens of each prompt's completion, up to and excluding the end-of-text token.

    With a temperature, tokens are sampled with torch's generator; otherwise decoding is greedy. The base's own
    generation config takes no part unless the settings ask for it.

    Args:
        share_start: read what all prompts begin with once, and not with each of them.
    """
    model.eval()
    start = SharedStart(model, prompts if share_start and generation.starts_from_cache else [])
    settings = {
        **arguments_of(generation),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if len(start):
        del settings["cache_implementation"]
    apart = lm_head_of(model).reads_apart
    if apart:
        settings["decoder_start_token_id"] = model.config.decoder_start_token_id
    if is_sharded(model):
        settings["synced_gpus"] = True  # all processes run until the longest text of any of them has ended
    if adds_prompt(model):
        settings["cache_implementation"] = "dynamic"  # peft's prompt learning cannot start with a static cache

    def generate(batch: list[Sequence[int]]) -> list[list[int]]:
        side = "right" if apart else "left"
        rows = [ids[len(start) :] for ids in batch]
        input_ids, mask = pad(rows, pad_token_id=tokenizer.pad_token_id, side=side)
        inputs = to_device({"input_ids": start.with_ids(input_ids), "attention_mask": mask}, model.device)
        num_given = 1 if apart else inputs["input_ids"].shape[1]  # a decoder is given the token that it starts with
        output = model.generate(**inputs | start.before(inputs["attention_mask"]), **settings)[:, num_given:]
        return [_until(row, tokenizer.eos_token_id) for row in output.tolist()]

    lengths = [count_virtual_tokens(model) + len(prompt) + generation.max_new_tokens for prompt in prompts]
    with contextlib.nullcontext() if generation.use_base_config else _without_own_config(model):
        return map_batches(generate, prompts, lengths=lengths, batch_size=batch_size, together=is_sharded(model))


@contextlib.contextmanager
def _without_own_config(model: Any) -> Iterator[None]:
    """Replace the base's generation config, whose settings `generate` takes wherever it is not given any."""
    owned = [vars(module) for module in model.modules() if "generation_config" in vars(module)]
    before = [owner["generation_config"] for owner in owned]
    for owner in owned:
        own = owner["generation_config"]
        owner["generation_config"] = transformers.GenerationConfig(bos_token_id=own.bos_token_id)
    try:
        yield
    finally:
        for owner, own in zip(owned, before, strict=True):
            owner["generation_config"] = own


def _until(row: list[int], end: int) -> list[int]:
    return row[: row.index(end)] if end in row else row
