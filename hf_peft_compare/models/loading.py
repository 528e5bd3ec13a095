"""Load the base model and its tokenizer, or build the model with random weights or on the meta device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel

from hf_peft_compare.config.schema import EMBEDDED, RunConfig, StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.models.fitting import check_tensors, check_vocabulary
from hf_peft_compare.models.heads import class_names, head_of
from hf_peft_compare.models.quantization import check_installed, keep_layout, loading_arguments, quantization_of
from hf_peft_compare.utils.distributed import on_cpu
from hf_peft_compare.utils.hub_errors import explain

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


def seeded_base(config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Load the base model with the run's seed set."""
    transformers.set_seed(config.seed)
    base = load_base(config)
    prepare_base(base, tokenizer)
    return base


def prepare_base(base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Patch a base model: positions from the attention mask, loss type, and padding token."""
    if tokenizer.padding_side == "left":  # padding on the right does not change positions
        count_positions_from_mask(base)
    if base.get_output_embeddings() is None:
        base.config.pad_token_id = tokenizer.pad_token_id  # class heads on decoders locate the last token with it
    # transformers falls back to this loss if it finds none for a class name such as GPT-2's, with a warning in each
    # forward pass, which would break a compiled graph.
    base.loss_type = base.loss_type or "ForCausalLM"


def model_path(config: StudyProtocol) -> str:
    """Return the Hub id or folder of the base model."""
    if config.model_name_or_path == EMBEDDED:
        from hf_peft_compare.quickstart import BASE_FOLDER

        return str(BASE_FOLDER)
    return config.model_name_or_path


def tokenizer_path(config: StudyProtocol) -> str:
    """Return the Hub id or folder of the tokenizer: the base model's, unless the study names another."""
    return config.tokenizer_name_or_path or model_path(config)


def load_tokenizer(config: StudyProtocol) -> Any:
    """Load the tokenizer, with eos as padding token if it has none.

    It pads on the left, so that the last token is at the right end; on the right for the class heads of encoders, which
    read the first token, and for heads that use the attention mask.

    Raises:
        UserError: the tokenizer cannot be loaded, or lacks a vocabulary or a required pad or eos token.
    """
    name = tokenizer_path(config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=config.model_revision)
    except Exception as error:  # transformers raises many types of errors; each is caused by the input
        raise UserError(explain("model", name, error)) from None
    check_vocabulary(name, tokenizer)
    head = head_of(config)
    if tokenizer.eos_token_id is None and (head.generates or tokenizer.pad_token_id is None):
        has = "a pad token only" if tokenizer.pad_token_id is not None else "neither a pad nor an eos token"
        raise UserError(
            f"the tokenizer of {name} has {has}, but completions end with an eos token. Set eos_token in its "
            f"tokenizer_config.json, or choose another tokenizer_name_or_path."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    decoder = head.generates or tokenizer.cls_token_id is None
    tokenizer.padding_side = "left" if decoder and not head.pads_right else "right"
    return tokenizer


def architecture_fields(config: StudyProtocol) -> dict[str, Any]:
    """Return the fields that override the base model's config: `architecture`, the attention, and the class names.

    Raises:
        UserError: the attention cannot train or evaluate here, or a class head has no classes.
    """
    return {**config.architecture, **_attention(config), **_classes(config)}


def _classes(config: StudyProtocol) -> dict[str, Any]:
    labels = class_names(config)
    if labels is None:
        return {}
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return {"num_labels": len(labels), **names}


def load_architecture(config: StudyProtocol) -> Any:
    """Load the base model's config, with the run's own fields.

    Raises:
        UserError: the config cannot be loaded, is of another type than `architecture` says, or has a class head with a
            different number of classes.
    """
    fields = architecture_fields(config)
    model_type = fields.pop("model_type", None)
    if config.init == "config" and model_type is not None:
        return AutoConfig.for_model(model_type, **fields)
    try:
        saved = AutoConfig.from_pretrained(model_path(config), revision=config.model_revision)
        architecture = AutoConfig.from_pretrained(model_path(config), revision=config.model_revision, **fields)
    except Exception as error:
        raise UserError(explain("model", model_path(config), error)) from None
    if model_type not in (None, saved.model_type):
        raise UserError(
            f"architecture.model_type is {model_type!r}, but {config.model_name_or_path} is a {saved.model_type}. "
            f"Remove the setting, or set init=config for random weights."
        )
    if "id2label" in fields and config.init == "pretrained":
        _check_classes(config, saved, fields["id2label"])
    return architecture


def _check_classes(config: StudyProtocol, saved: Any, names: dict[int, str]) -> None:
    """Raise UserError if a checkpoint has a class head that was trained for a different number of classes."""
    trained = any("ForSequenceClassification" in name for name in saved.architectures or [])
    if trained and saved.num_labels != len(names):
        raise UserError(
            f"{config.model_name_or_path} has a class head of {saved.num_labels} classes "
            f"({', '.join(map(str, saved.id2label.values()))}), but task.labels has {len(names)} "
            f"({', '.join(names.values())}). List the model's classes, or choose a base without a class head."
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
            f"{_attention_setting(config)}, which needs half precision, but evaluation is in float32; set sdpa."
        )
    if name == "flex_attention" and on_cpu():
        raise UserError(f"{_attention_setting(config)}, which cannot train on a CPU; set sdpa, or remove the setting.")
    return {"attn_implementation": name}


def _attention_setting(config: StudyProtocol) -> str:
    return f"attn_implementation is {config.attn_implementation!r}"


def load_base(config: StudyProtocol) -> PreTrainedModel:
    """Load the base model in float32, or quantized if the run's method requires it.

    If `init` is "config", it is built with random weights.

    Raises:
        UserError: the model cannot be loaded, or does not support the study's attention implementation.
    """
    if config.attn_implementation is not None:
        base_on_meta(config)  # fails early, before any weights are read
    architecture = load_architecture(config)
    if config.init == "config":
        return random_base(config, architecture)
    base = _from_pretrained(config, architecture, **_loading(config, architecture))
    keep_layout(base)
    return base


def check_weights(config: StudyProtocol) -> None:
    """Check that local weights fit the base's architecture, without reading more than their names and shapes.

    Raises:
        UserError: they cannot be read, or do not fit.
    """
    if config.init == "pretrained" and Path(model_path(config)).is_dir():
        architecture = load_architecture(config)
        if getattr(architecture, "quantization_config", None) is None:
            _from_pretrained(config, architecture, dtype=torch.float32, device_map="meta")


def _from_pretrained(config: StudyProtocol, architecture: PretrainedConfig, **loading: object) -> PreTrainedModel:
    """Load a base, and check that nothing but a new head is left random."""
    name = model_path(config)
    try:
        base, info = head_of(config).auto_class.from_pretrained(
            name,
            config=architecture,
            revision=config.model_revision,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `check_tensors` names them
            **loading,
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(explain("model", name, error)) from None
    check_tensors(config, name, base, info)
    loaded: PreTrainedModel = base
    return loaded


def random_base(config: StudyProtocol, architecture: PretrainedConfig) -> PreTrainedModel:
    """Build a base model with random weights, quantized if the run's method requires it."""
    base = head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    if quantization_of(config) is not None:
        weights, loading = base.state_dict(), _loading(config, architecture)
        base = type(base).from_pretrained(None, config=architecture, state_dict=weights, **loading)
        keep_layout(base)
    return base


def _loading(config: StudyProtocol, architecture: PretrainedConfig) -> dict[str, Any]:
    """Return the arguments for loading weights in float32, or quantized."""
    quantization = quantization_of(config)
    if quantization is None:
        return {"dtype": torch.float32}
    check_installed(config)
    with torch.device("meta"):
        on_meta = head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    return {"dtype": torch.float32, **loading_arguments(quantization, on_meta)}


def base_on_meta(config: StudyProtocol) -> PreTrainedModel:
    """Build the base model's architecture on the meta device.

    Raises:
        UserError: the model does not support the study's attention implementation.
    """
    architecture = load_architecture(config)
    try:
        with torch.device("meta"):
            return head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    except (ImportError, ValueError) as error:
        if config.attn_implementation is None:
            raise
        reason = str(error).split(". ")[0]
        raise UserError(f"{_attention_setting(config)}: {reason}. Set sdpa or eager, or remove the setting.") from None
