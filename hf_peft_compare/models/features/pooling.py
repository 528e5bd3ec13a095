"""Text embeddings: one vector per text, independent of padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from hf_peft_compare.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Pooling = Literal["auto", "last", "cls", "mean"]


def choose_pooling(pooling: Pooling, tokenizer: Any) -> Pooling:
    """Return the pooling that "auto" means: the mean for encoders, and the last token for decoders.

    Only the last token of a decoder attends to all others.

    Raises:
        UserError: the pooling is "cls", but the model is a decoder.
    """
    if pooling == "cls" and getattr(tokenizer, "cls_token_id", 0) is None:
        raise UserError(
            "pooling is 'cls', but the first token of a decoder attends to no other token; set 'last' or 'mean'."
        )
    if pooling != "auto":
        return pooling
    return "last" if getattr(tokenizer, "cls_token_id", None) is None else "mean"


def embed_texts(encoder: Any, pooling: Pooling, *, input_ids: Tensor, attention_mask: Tensor, **inputs: Any) -> Tensor:
    """Embed a batch of texts, [B, H]; a model of texts and images such as CLIP does its own pooling and projection."""
    if hasattr(encoder, "get_text_features"):
        return encoder.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output
    states = encoder(input_ids=input_ids, attention_mask=attention_mask, **inputs).last_hidden_state
    return pool(states, attention_mask, pooling)


def pool(states: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool each text's states into one vector.

    Args:
        states: [B, T, H].
        attention_mask: [B, T]; padding may be on either side.
        pooling: "last" or "cls": the state of the last or first token; "mean": the mean over all tokens.
    """
    if pooling == "mean":
        weights = attention_mask[..., None].to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    columns = torch.arange(states.shape[1], device=states.device)
    real = attention_mask.bool()
    if pooling == "last":
        column = torch.where(real, columns, -1).amax(dim=1)
    else:
        column = torch.where(real, columns, states.shape[1] - 1).amin(dim=1)
    return states.gather(1, column[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)


def text_width(encoder: PreTrainedModel) -> int:
    """Return H, the size of a text's embedding, from the encoder's config."""
    config = encoder.config
    return config.projection_dim if hasattr(encoder, "get_text_features") else config.hidden_size


def num_classes(encoder: Any) -> int:
    """Return C, the number of classes that the study set in the encoder's config."""
    return int(encoder.config.num_labels)
