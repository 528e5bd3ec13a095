"""Heads: the module on top of a base model, with its collator and loss for training and evaluation.

A task names its head; a method may need another one, e.g. an LM head for a prompt that asks for a class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerBase

from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.collators import Batch, ClassificationCollator, CompletionCollator


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
    """

    name: str
    auto_class: Any
    collator: Callable[[Any], Callable[[Sequence[Features]], Batch]]
    nll: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    loss: Callable[..., Tensor] | None = None
    loss_unit: str
    generates: bool
    pads_right: bool = False


def completion_nll(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the summed negative log-likelihood of each row's labeled tokens.

    Args:
        logits: [B, K', V] of at least the last K columns.
        labels: [B, K], -100 where nothing is scored.

    Returns:
        nats [B] and number of tokens [B].
    """
    logits, targets = logits[:, -labels.shape[1] : -1].float(), labels[:, 1:]
    nll = nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=-100)
    return nll.sum(dim=1), (targets != -100).sum(dim=1)


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


def head_of(config: StudyProtocol) -> Head:
    """Return the head of a run, which its method or else its task defines; for a study, the task's head."""
    return HEADS[config.head_name]


def class_names(config: StudyProtocol) -> list[str] | None:
    """Return the class names of a class head, in order; None: the head generates text.

    Raises:
        UserError: the task has no classes.
    """
    if head_of(config).generates:
        return None
    labels = config.task_type.labels(config.task_settings)
    if labels is None:
        name = config.task_type.name
        raise UserError(f"the base has a class head, but task {name} has no classes; choose another method.")
    return list(labels)
