"""Heads: the module on top of a base model, with its collator and loss for training and evaluation.

A task names its head; a method may need another one, e.g. an LM head for a prompt that asks for a class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.collators import Batch, ClassificationCollator, CompletionCollator, EncoderDecoderCollator
from hf_peft_compare.models.encoder_decoder import untie_second_t5
from hf_peft_compare.utils.remote_code import load_auto


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head.

    Args:
        name: its key.
        auto_class: the auto class that loads a base with this head.
        collator: `collator(tokenizer)` returns the collator of encoded examples.
        nll: `nll(logits, labels) -> (nats [B], number of labels [B])`.
        loss: the Trainer's loss function; None: the model's own loss.
        loss_unit: the unit of the test loss.
        generates: whether it generates text, for which the tokenizer needs an eos token.
        pads_right: whether texts are padded on the right for every base; otherwise decoders pad on the left.
        reads_apart: whether an encoder reads the prompt, and the completion alone is the decoder's text.
    """

    name: str
    auto_class: Any
    collator: Callable[[Any], Callable[[Sequence[Features]], Batch]]
    nll: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    loss: Callable[..., Tensor] | None = None
    loss_unit: str
    generates: bool
    pads_right: bool = False
    reads_apart: bool = False

    def new_model(self, architecture: PretrainedConfig) -> PreTrainedModel:
        """Build a model with this head and random weights in float32; raise whatever transformers raises."""
        return untie_second_t5(load_auto(self.auto_class.from_config, architecture, dtype=torch.float32))


def completion_nll(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the summed negative log-likelihood of each row's labeled tokens.

    Args:
        logits: [B, K', V] of at least the last K columns.
        labels: [B, K], -100 where nothing is scored.

    Returns:
        nats [B] and number of tokens [B].
    """
    return decoder_nll(logits[:, -labels.shape[1] : -1], labels[:, 1:])


def decoder_nll(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the same for a decoder whose column of logits predicts the label of the same column.

    Args:
        logits: [B, K, V].
        labels: [B, K], -100 where nothing is scored.

    Returns:
        nats [B] and number of tokens [B].
    """
    nll = nn.functional.cross_entropy(logits.float().transpose(1, 2), labels, reduction="none", ignore_index=-100)
    return nll.sum(dim=1), (labels != -100).sum(dim=1)


def class_nll(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the negative log-likelihood of each row's class.

    Args:
        logits: [B, C].
        labels: [B], -100 where the class is unknown.

    Returns:
        nats [B] and number of classes [B], 1 or 0.
    """
    nll = nn.functional.cross_entropy(logits.float(), labels, reduction="none", ignore_index=-100)
    return nll, (labels != -100).long()


def class_loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Compute the mean loss over the effective batch, independent of how it is split into micro-batches.

    The models' own losses average over each micro-batch; some use the number of items, depending on the architecture.
    """
    nll, known = class_nll(outputs.logits, labels)
    return nll.sum() / (known.sum() if num_items_in_batch is None else num_items_in_batch)


def _class_collator(tokenizer: PreTrainedTokenizerBase) -> ClassificationCollator:
    return ClassificationCollator(pad_token_id=tokenizer.pad_token_id, padding_side=tokenizer.padding_side)


HEADS = {
    head.name: head
    for head in (
        Head(
            name="causal_lm",
            auto_class=AutoModelForCausalLM,
            collator=lambda tokenizer: CompletionCollator(pad_token_id=tokenizer.pad_token_id),
            nll=completion_nll,
            loss_unit="nats per token",
            generates=True,
        ),
        Head(
            name="seq2seq_lm",
            auto_class=AutoModelForSeq2SeqLM,
            collator=lambda tokenizer: EncoderDecoderCollator(pad_token_id=tokenizer.pad_token_id),
            nll=decoder_nll,
            loss_unit="nats per token",
            generates=True,
            pads_right=True,  # encoders count positions from the first column
            reads_apart=True,
        ),
        Head(
            name="sequence_classification",
            auto_class=AutoModelForSequenceClassification,
            collator=_class_collator,
            nll=class_nll,
            loss=class_loss,
            loss_unit="nats per example",
            generates=False,
        ),
        Head(
            name="features",
            auto_class=AutoModel,  # a base without a head: the method adds its own
            collator=_class_collator,
            nll=class_nll,
            loss=class_loss,
            loss_unit="nats per example",
            generates=False,
            pads_right=True,  # does not change positions, and embeddings are pooled with the mask
        ),
    )
}


def class_head(base: Any) -> dict[str, nn.Parameter]:
    """Return the parameters of a class head by name: those outside the backbone; empty if the base has an LM head."""
    if base.get_output_embeddings() is not None:
        return {}
    backbone = {id(parameter) for parameter in base.base_model.parameters()}
    return {name: parameter for name, parameter in base.named_parameters() if id(parameter) not in backbone}


def peft_task_type(base: PreTrainedModel) -> str:
    """Return peft's name of a base's head."""
    if base.get_output_embeddings() is None:
        return "SEQ_CLS"
    return "SEQ_2_SEQ_LM" if base.config.is_encoder_decoder else "CAUSAL_LM"


def base_of(model: Any) -> Any:
    """Return the base that a model of peft's or ours wraps, or else the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def lm_head_of(model: object) -> Head:
    """Return the head of a model that generates text."""
    apart = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
    return HEADS["seq2seq_lm" if apart else "causal_lm"]


def head_of(config: StudyProtocol) -> Head:
    """Return the head of a run, which its method or else its task defines; for a study, the task's head."""
    return HEADS[config.head_name]


def class_names(config: StudyProtocol) -> list[str] | None:
    """Return the class names of a class head, in order; None: the head generates text.

    Raises:
        UserError: the task has no classes, or the base is an encoder-decoder, which gets no class head.
    """
    if head_of(config).generates:
        return None
    if config.is_encoder_decoder:
        raise UserError(
            f"{config.model_name_or_path} is an encoder-decoder, which answers by writing, but task "
            f"{config.task_type.name} needs a class head on the base. Set task.name=instructed_classification, which "
            f"asks for the class in a prompt, or choose an encoder or a decoder as base."
        )
    labels = config.task_type.labels(config.task_settings)
    if labels is None:
        name = config.task_type.name
        raise UserError(f"the base has a class head, but task {name} has no classes; choose another method.")
    return list(labels)
