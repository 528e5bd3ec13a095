"""A model that is an object: saved once with its tokenizer, in a folder that is named by their content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inputs.saving import saved

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ModelLike: TypeAlias = "str | Path | tuple[PreTrainedModel, PreTrainedTokenizerBase]"
VOLATILE = ("_name_or_path", "transformers_version", "dtype")  # of a config: they say nothing of the model itself


def save_model(model: ModelLike, folder: Path) -> str:
    """Return what a study says of a model: its hub id or folder; an object is saved below `folder`.

    Raises:
        UserError: neither a name nor a model with its tokenizer, or one that cannot be saved.
    """
    if isinstance(model, (str, Path)):
        return str(model)
    both = tuple(model) if isinstance(model, (tuple, list)) else (model,)
    if len(both) != 2 or not all(hasattr(part, "save_pretrained") for part in both):
        kinds = ", ".join(type(part).__name__ for part in both)
        raise UserError(f"model is {kinds}; expected a hub id, a folder, or (model, tokenizer) of transformers.")
    if not hasattr(both[0], "state_dict"):
        raise UserError(f"model is (tokenizer, model)? Its first part is a {type(both[0]).__name__}, without weights.")

    def save(target: Path) -> None:
        for part in both:
            part.save_pretrained(str(target))

    return str(saved(folder, "model", _content_hash(*both), save))


def _content_hash(model: Any, tokenizer: Any) -> str:
    """Hash the architecture, the weights and the tokenizer."""
    from hf_peft_compare.models.trainable_parameters import hash_tensors

    config = {key: value for key, value in model.config.to_dict().items() if key not in VOLATILE}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    known = {key: str(value) for key, value in tokenizer.special_tokens_map.items()}
    parts = [json.dumps(config, sort_keys=True, default=str), hash_tensors(model.state_dict()), words, str(known)]
    return hashlib.sha256("\0".join([*parts, str(tokenizer.chat_template)]).encode()).hexdigest()
