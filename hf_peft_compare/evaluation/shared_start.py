"""What all prompts begin with, such as an instruction and solved examples, is read once and not with every example."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from hf_peft_compare.data.completions import common_start
from hf_peft_compare.data.position_ids import counts_positions
from hf_peft_compare.evaluation.batching import adds_prompt, count_virtual_tokens
from hf_peft_compare.models.heads import base_of, lm_head_of
from hf_peft_compare.utils.sharding import is_sharded


class SharedStart:
    """The tokens that all prompts begin with, in the cache of a model; none where nothing would be saved.

    Rows go on after it with their padding between it and their own tokens, so only models that attend by the mask, at
    positions that are counted from it, start from such a cache: no encoder-decoders, no sliding windows or recurrent
    states, no soft prompts, and no edits of a prompt's last tokens.

    Args:
        model: on its device, in evaluation mode.
        prompts: token ids of every prompt.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self._cache: Any = None
        self._ids = torch.empty(1, 0, dtype=torch.long)
        if not _reads_on(model) or not (shared := common_start(prompts)):
            return
        ids = torch.tensor([shared], device=model.device)
        outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True, logits_to_keep=1)
        if all(type(layer) is DynamicLayer for layer in getattr(outputs.past_key_values, "layers", [None])):
            self._cache, self._ids = outputs.past_key_values, ids

    def __len__(self) -> int:
        """Return the number of tokens."""
        return self._ids.shape[1]

    def before(self, mask: torch.Tensor) -> dict[str, Any]:
        """Return a forward pass's attention_mask [B, S + T] and cache for rows whose own mask is [B, T]."""
        if self._cache is None:
            return {"attention_mask": mask}
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(len(mask))
        ones = mask.new_ones(len(mask), len(self))
        return {"attention_mask": torch.cat([ones, mask], dim=1), "past_key_values": cache}

    def with_ids(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the start's ids before those of rows [B, T], as `generate` takes them with a cache: [B, S + T]."""
        return torch.cat([self._ids.to(ids).expand(len(ids), -1), ids], dim=1)


def continues_from_cache(model: Any) -> bool:
    """Whether a model reads a text's second part after its first."""
    if not getattr(model, "continues_from_cache", True) or adds_prompt(model):
        return False
    return "past_key_values" in inspect.signature(base_of(model).forward).parameters


def _reads_on(model: Any) -> bool:
    """Whether a model reads rows after the same start, with padding in between."""
    if count_virtual_tokens(model) > 0 or lm_head_of(model).reads_apart or is_sharded(model):
        return False
    return continues_from_cache(model) and counts_positions(base_of(model))
