"""Check that weights, architecture and vocabulary belong together; transformers fills what is missing at random."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.utils.formatting import name_some

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NUM_NAMED = 3  # tensors in an error
NUM_SAMPLED, MAX_UNKNOWN = 100, 0.9  # texts, and the largest share of their tokens that may be unknown
POOLER = "pooler"  # on top of an encoder, as a head is; masked language models are saved without it


class Misfit(UserError):
    """Weights, architecture and vocabulary of a model do not belong together."""


def check_tensors(config: StudyProtocol, name: str, base: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Check what transformers reports of loading weights into a base.

    Only a class head and an encoder's pooler may be new: everything else would stay random.

    Args:
        name: the Hub id or folder of the base.
        info: the loading info of `from_pretrained`.

    Raises:
        Misfit: tensors are missing or have other shapes, or the checkpoint has more layers than the architecture.
    """
    missing = sorted(key for key in info["missing_keys"] if not _may_be_new(key, base, config))
    others = sorted(str(key[0]) for key in info["mismatched_keys"] if not _may_be_new(str(key[0]), base, config))
    foreign = sorted(info["unexpected_keys"])
    number = re.compile(r"\d+")
    layers = {number.sub("#", key) for key in base.state_dict() if number.search(key)}
    surplus = [key for key in foreign if number.sub("#", key) in layers and not config.architecture]
    remedy = (
        "The weights are of another architecture, or were converted or saved in part. Use a checkpoint that fits, or "
        "set init=config to start from random weights."
    )
    if missing:
        has = f"; instead, it has {name_some(foreign, NUM_NAMED)}" if foreign else ""
        raise Misfit(
            f"the weights of {name} lack {len(missing)} of the {len(base.state_dict())} tensors of "
            f"{type(base).__name__}, which would stay random: {name_some(missing, NUM_NAMED)}{has}. {remedy}"
        )
    if others:
        raise Misfit(
            f"{len(others)} tensors of {name} have other shapes than {type(base).__name__} of its config: "
            f"{name_some(others, NUM_NAMED)}. {remedy}"
        )
    if surplus:
        raise Misfit(
            f"{name} has {len(surplus)} tensors of layers that {type(base).__name__} of its config does not have: "
            f"{name_some(surplus, NUM_NAMED)}. {remedy}"
        )


def _may_be_new(key: str, base: PreTrainedModel, config: StudyProtocol) -> bool:
    prefix = base.base_model_prefix
    is_class_head = config.head_name == "sequence_classification" and not key.startswith(f"{prefix}.")
    return is_class_head or (not head_of(config).generates and POOLER in key.split("."))


def check_vocabulary(name: str, tokenizer: Any, base: PreTrainedModel | None = None) -> None:
    """Check that a tokenizer has a vocabulary, and the base an embedding for each of its tokens.

    Raises:
        Misfit: there are no tokens but special ones, as transformers makes it of a folder without tokenizer files,
            or the base has fewer embeddings.
    """
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    if not vocabulary.keys() - special:
        raise Misfit(
            f"the tokenizer of {name} has no vocabulary, only {len(vocabulary)} special tokens. Add its tokenizer.json "
            f"or vocabulary files to the folder, or set tokenizer_name_or_path."
        )
    if base is None:
        return
    size, largest = base.get_input_embeddings().num_embeddings, max(vocabulary.values())
    if largest >= size:
        raise Misfit(
            f"the tokenizer of {name} has tokens up to number {largest:,}, but the model has embeddings of "
            f"{size:,} tokens. They do not belong together: set tokenizer_name_or_path to the model's own tokenizer."
        )


def check_known(name: str, tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError if the tokenizer does not know nearly all tokens of the first rows, as of another language."""
    unknown, others = tokenizer.unk_token_id, set(tokenizer.all_special_ids)
    tokens = [token for row in islice(rows, NUM_SAMPLED) for token in row["input_ids"]]
    num_unknown = tokens.count(unknown)
    num_known = sum(token not in others for token in tokens)
    if unknown is not None and num_unknown > MAX_UNKNOWN * (num_known + num_unknown):
        raise UserError(
            f"{num_unknown:,} of {num_known + num_unknown:,} tokens of the texts are unknown to the tokenizer of "
            f"{name}. Choose a model for the language and spelling of the texts, or set tokenizer_name_or_path."
        )
