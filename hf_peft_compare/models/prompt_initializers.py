"""Initializers of soft prompts: each returns a tensor [P, H].

Initializing from the vocabulary or from a text that names the task starts training near points that the frozen model
understands (Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning", section 3.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hf_peft_compare.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def random_prompt(embeddings: Tensor, *, num_virtual_tokens: int) -> Tensor:
    """Return a prompt [P, H] drawn from a normal distribution with the standard deviation of the embeddings [V, H]."""
    shape = (num_virtual_tokens, embeddings.shape[1])
    return torch.randn(shape).to(embeddings.device) * embeddings.detach().float().std()


def vocabulary_prompt(embeddings: Tensor, *, num_virtual_tokens: int) -> Tensor:
    """Return the embeddings of P tokens sampled from the vocabulary [V, H], without replacement if P is at most V."""
    vocabulary_size = embeddings.shape[0]
    draws = [torch.randperm(vocabulary_size) for _ in range(-(-num_virtual_tokens // vocabulary_size))]
    return _rows(embeddings, torch.cat(draws)[:num_virtual_tokens])


def text_prompt(
    embeddings: Tensor, *, num_virtual_tokens: int, text: str, tokenizer: PreTrainedTokenizerBase
) -> Tensor:
    """Return the embeddings of a text's tokens, truncated or repeated to P; no special tokens are added.

    Raises:
        UserError: the text has no tokens.
    """
    token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not token_ids:
        raise UserError(f"prompt_tuning_init_text is {text!r}, which has no tokens; set a text such as '[SUMMARIZE]'.")
    repeats = -(-num_virtual_tokens // len(token_ids))
    return _rows(embeddings, torch.tensor((token_ids * repeats)[:num_virtual_tokens]))


def _rows(embeddings: Tensor, token_ids: Tensor) -> Tensor:
    return embeddings.detach()[token_ids.to(embeddings.device)].clone().float()
