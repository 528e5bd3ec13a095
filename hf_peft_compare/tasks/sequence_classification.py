"""Sequence classification: a head on the model tells the class of a text, or of a pair of texts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Features, Format
from hf_peft_compare.data.completions import token_ids
from hf_peft_compare.data.labels import (
    ClassificationSettings,
    ClassificationTask,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


UNKNOWN = -100  # the label of a text whose class is not known; no loss counts it


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SequenceClassificationSettings(ClassificationSettings):
    """Settings of sequence classification: those of every classification."""


def sequence_classification_format(settings: SequenceClassificationSettings) -> Format:
    """Let the model read a text, or a pair with the tokenizer's separator, and tell its class.

    Encoders read the special tokens that they were pretrained with. Decoders get none, and a pair's texts on lines of
    their own; their class is told at the last token, which padding on the left never moves.
    """

    def encode(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
        inputs = (_encoded if tokenizer.cls_token_id is not None else _plain)(example, tokenizer, max_length)
        known = example.reference in settings.labels
        return {**inputs, "label": settings.labels.index(example.reference) if known else UNKNOWN}

    return Format(key=asdict(settings), encode=encode)


def _encoded(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
    encoding = tokenizer(
        example.source,
        example.source_pair,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        verbose=False,
    )
    return cast("Features", {name: list(ids) for name, ids in encoding.items()})


def _plain(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
    text = tokenizer(example.source, verbose=False)["input_ids"]
    pair = token_ids(tokenizer, f"\n{example.source_pair}") if example.source_pair is not None else []
    ids = [*text[: max(max_length - len(pair), 1)], *pair][:max_length]
    # transformers takes the last token that is no padding for a text's last; GPT-2's padding may stand in texts.
    while ids and ids[-1] == tokenizer.pad_token_id:
        ids = ids[:-1]
    if not ids:
        raise UserError(f"the text of row {example.id} has no tokens; remove such rows from the dataset.")
    return {"input_ids": ids}


class SequenceClassification(ClassificationTask[SequenceClassificationSettings]):
    """Classification by a head on the model."""

    name = "sequence_classification"
    title = "Sequence classification"
    head = "sequence_classification"
    settings = SequenceClassificationSettings

    def format(self, settings: SequenceClassificationSettings) -> Format:
        """Return the texts as the model reads them, and the class."""
        return sequence_classification_format(settings)
