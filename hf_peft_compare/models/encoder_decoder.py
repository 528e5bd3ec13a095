"""Encoder-decoders: what their classes lack to be trained and scored as other bases are."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from hf_peft_compare.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def prepare_encoder_decoder(base: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Complete the token ids with which the decoder starts, and patch `forward` to compute the loss of a whole step.

    Raises:
        UserError: the model does not make its decoder's input of labels.
    """
    config = base.config
    if not hasattr(base, "prepare_decoder_input_ids_from_labels"):
        raise UserError(
            f"{type(base).__name__} does not make its decoder's input of labels; choose a base such as T5 or BART."
        )
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    own = base.generation_config  # what `generate` reads where nobody passes it another token
    # T5 was pretrained with padding there; a new config does not say so.
    starts = (getattr(config, "decoder_start_token_id", None), own.decoder_start_token_id, config.pad_token_id)
    start = next(token for token in starts if token is not None)
    config.decoder_start_token_id = own.decoder_start_token_id = start
    _average_over_step(base)


def _average_over_step(base: Any) -> None:
    """Patch `forward` to average the loss over `num_items_in_batch` if it is given, as causal LMs do.

    The classes of encoder-decoders accept the argument, so that the Trainer does not divide by the number of
    micro-batches, but average over each micro-batch.
    """
    forward = base.forward

    @functools.wraps(forward)
    def averaging(
        *args: Any, labels: Tensor | None = None, num_items_in_batch: Tensor | int | None = None, **kwargs: Any
    ) -> Any:
        if labels is None:
            return forward(*args, **kwargs)
        if kwargs.get("decoder_input_ids") is None and kwargs.get("decoder_inputs_embeds") is None:
            kwargs["decoder_input_ids"] = base.prepare_decoder_input_ids_from_labels(labels)
        outputs = forward(*args, **kwargs)
        nats = nn.functional.cross_entropy(
            outputs.logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum"
        )
        num_items = (labels != -100).sum() if num_items_in_batch is None else num_items_in_batch
        return type(outputs)(**{**outputs, "loss": nats / num_items})

    base.forward = averaging


def untie_second_t5(base: PreTrainedModel) -> PreTrainedModel:
    """Untie the LM head of a newly built T5 of version 1.1, as it is in every checkpoint; return the model.

    transformers ties it in each new T5, and unties it while it loads weights that differ.
    """
    head = base.get_output_embeddings()
    if head is not None and not getattr(base.config, "scale_decoder_outputs", True):
        head.weight = nn.Parameter(cast("Tensor", head.weight).detach().clone())
    return base
