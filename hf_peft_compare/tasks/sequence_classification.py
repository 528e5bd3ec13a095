"""Sequence classification: a class head on the model classifies a text, or a pair of texts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Features, Format
from hf_peft_compare.data.completions import token_ids
from hf_peft_compare.data.labels import ClassificationSettings, ClassificationTask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


UNKNOWN = -100  # the label of a text whose class is unknown; losses ignore it


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SequenceClassificationSettings(ClassificationSettings):
    """Settings of sequence classification: those that all classification tasks share."""


def sequence_classification_format(settings: SequenceClassificationSettings) -> Format:
    """Return the format of a text, or of a pair with the tokenizer's separator, and its class.

    Encoders get the special tokens that they were pretrained with. Decoders get none, and the texts of a pair on
    separate lines; they classify at the last token, whose column does not change with padding on the left.
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
    # transformers takes the last non-padding token as the last of a text, but texts may contain GPT-2's padding token.
    while ids and ids[-1] == tokenizer.pad_token_id:
        ids = ids[:-1]
    if not ids:
        raise UserError(f"the text of row {example.id} has no tokens; remove such rows from the dataset.")
    return {"input_ids": ids}


class SequenceClassification(ClassificationTask[SequenceClassificationSettings]):
    """Classification with a class head on the model."""

    name = "sequence_classification"
    title = "Sequence classification"
    head = "sequence_classification"
    settings = SequenceClassificationSettings

    def format(self, settings: SequenceClassificationSettings) -> Format:
        """Return the format of the texts and the class."""
        return sequence_classification_format(settings)
