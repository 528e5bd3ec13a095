"""What kind of model a base is, from the fields of its config: read before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path


def is_encoder_decoder(fields: Mapping[str, object]) -> bool:
    """Whether fields of a config are those of a model whose encoder reads a text and whose decoder writes one.

    Args:
        fields: `model_type`, and others that the config sets.
    """
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

    model_type = fields.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return False
    return bool(fields.get("is_encoder_decoder", getattr(CONFIG_MAPPING[model_type], "is_encoder_decoder", False)))


def saved_fields(name: str, revision: str | None) -> Mapping[str, object]:
    """Return the fields of a saved config; empty if it cannot be read, which loading explains.

    Args:
        name: a Hub id or folder.
    """
    return _read(name, revision) if Path(name).is_dir() else _read_once(name, revision)


def _read(name: str, revision: str | None) -> Mapping[str, object]:
    from transformers import PreTrainedConfig

    try:
        fields, _ = PreTrainedConfig.get_config_dict(name, revision=revision)
    except Exception:  # transformers raises many types of errors
        return {}
    return dict(fields)


_read_once = lru_cache(maxsize=32)(_read)  # each reading of a Hub id is a request
