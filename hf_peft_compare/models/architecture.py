"""The base model's config: the saved one with the fields that the study sets, or a new one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from transformers import CONFIG_MAPPING

from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.models.gguf import load_config, unreadable_base
from hf_peft_compare.models.heads import class_names
from hf_peft_compare.utils.distributed import on_cpu
from hf_peft_compare.utils.remote_code import HOW_TO_ALLOW, needs_remote_code

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# What a new config may say of weights that are not there, so that `plan` counts them.
PLANNED = ("quantization_config",)
# What T5's configs say, though their classes do not list it; version 1.1 has unscaled outputs and a head of its own.
OF_T5 = ("decoder_start_token_id", "scale_decoder_outputs")


def load_architecture(config: StudyProtocol) -> Any:
    """Load the base model's config, with the fields of `architecture`, the attention, and the class names.

    Raises:
        UserError: the config cannot be loaded, is of another type than `architecture` says, or rejects a field, has a
            class head with a different number of classes, or the attention cannot train or evaluate here.
    """
    if config.init == "config" and "model_type" in config.architecture:
        return new_architecture(config)
    try:
        saved = load_config(config)
    except UserError:
        raise
    except Exception as error:
        raise unreadable_base(config, error) from None
    model_type = config.architecture.get("model_type", saved.model_type)
    if model_type != saved.model_type:
        raise UserError(
            f"architecture.model_type is {model_type!r}, but {config.model_name_or_path} is a {saved.model_type}. "
            f"Remove the setting, or set init=config for random weights."
        )
    fields = _own_fields(config, type(saved))
    try:
        architecture = load_config(config, **fields)
    except Exception as error:  # every config class validates its fields differently
        raise unbuildable(saved.model_type, error) from None
    if "id2label" in fields and config.init == "pretrained":
        _check_classes(config, saved, fields["id2label"])
    return architecture


def new_architecture(config: StudyProtocol) -> Any:
    """Make the config of a model that the study's `architecture` describes: a `model_type` and its fields.

    Raises:
        UserError: transformers has no such architecture, or it does not have a field, or rejects it.
    """
    model_type = config.architecture["model_type"]
    kind = architecture_class(model_type)
    try:
        return kind(**_own_fields(config, kind, PLANNED))
    except UserError:
        raise
    except Exception as error:  # as above
        raise unbuildable(model_type, error) from None


def architecture_class(model_type: object) -> type[PretrainedConfig]:
    """Return transformers' config class of a model type; raise UserError with the nearest ones if there is none."""
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        nearest = ", ".join(difflib.get_close_matches(str(model_type), CONFIG_MAPPING))
        raise UserError(
            f"unknown architecture.model_type {model_type!r}. Near: {nearest or 'none'}. Expected: one of transformers."
        )
    return CONFIG_MAPPING[model_type]


def unbuildable(model_type: str, error: Exception) -> UserError:
    """Return the error for an architecture that transformers cannot build."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    remedy = HOW_TO_ALLOW if needs_remote_code(error) else "Check architecture's fields."
    return UserError(f"no model can be built from architecture {model_type}: {reason} {remedy}")


def _own_fields(config: StudyProtocol, kind: type[PretrainedConfig], also: Collection[str] = ()) -> dict[str, Any]:
    """Return the fields in which a run's config differs from the saved one; `also` may be set too."""
    fields = without_arguments(config.architecture, kind, also)
    return {**fields, **_attention(config), **_classes(config)}


def without_arguments(
    architecture: Mapping[str, Any], kind: type[PretrainedConfig], also: Collection[str] = ()
) -> dict[str, Any]:
    """Return the fields of an `architecture` setting, without its `model_type`.

    Raises:
        UserError: a key is no field of the config class, such as `trust_remote_code`, an argument of `from_pretrained`.
    """
    fields = {key: value for key, value in architecture.items() if key != "model_type"}
    valid = {*signature(kind).parameters, *kind.attribute_map, *OF_T5, *also}
    for key in fields:
        if key not in valid:
            raise unknown(f"field of {kind.__name__} in architecture", key, valid)
    return fields


def _classes(config: StudyProtocol) -> dict[str, Any]:
    labels = class_names(config)
    if labels is None:
        return {}
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return {"num_labels": len(labels), **names}


def _check_classes(config: StudyProtocol, saved: Any, names: dict[int, str]) -> None:
    """Raise UserError if a checkpoint has a class head that was trained for other classes, or for another order."""
    if not any("ForSequenceClassification" in name for name in saved.architectures or []):
        return
    if saved.num_labels != len(names):
        raise UserError(
            f"{config.model_name_or_path} has a class head of {saved.num_labels} classes "
            f"({', '.join(map(str, saved.id2label.values()))}), but task.labels has {len(names)} "
            f"({', '.join(names.values())}). List the model's classes, or choose a base without a class head."
        )
    check_class_order(str(config.model_name_or_path), saved.id2label, names)


def check_class_order(model: str, theirs: Mapping[int, str], ours: Mapping[int, str]) -> None:
    """Raise UserError if a class head has the classes of the study in another order: it would name the wrong ones.

    Args:
        model: what has the head, as a message names it.
        theirs, ours: {index: name} of the head and of the study; case does not matter.
    """
    found, expected = ([str(names[index]).lower() for index in sorted(names)] for names in (theirs, ours))
    if found != expected and sorted(found) == sorted(expected):
        raise UserError(
            f"{model} has the classes {', '.join(found)}, and the study has {', '.join(expected)}. List task.labels in "
            f"the model's order; labels that are numbers in the dataset must become names."
        )


def _attention(config: StudyProtocol) -> dict[str, str]:
    """Return the config field of the study's attention implementation; empty if transformers chooses.

    Raises:
        UserError: the attention cannot train or evaluate here.
    """
    name = config.attn_implementation
    if name is None:
        return {}
    if "flash" in name:
        raise UserError(
            f"{attention_setting(config)}, which needs half precision, but evaluation is in float32; set sdpa."
        )
    if "/" in name:
        raise UserError(f"{attention_setting(config)}, a kernel whose code the Hub would send; set sdpa.")
    if name == "flex_attention" and on_cpu():
        raise UserError(f"{attention_setting(config)}, which cannot train on a CPU; set sdpa, or remove the setting.")
    return {"attn_implementation": name}


def attention_setting(config: StudyProtocol) -> str:
    return f"attn_implementation is {config.attn_implementation!r}"
