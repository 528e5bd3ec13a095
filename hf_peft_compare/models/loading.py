"""The base model and its tokenizer: loaded, drawn from a seed, or built on the meta device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel

from hf_peft_compare.config.schema import EMBEDDED, RunConfig, StudyProtocol
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.models.heads import class_names, head_of
from hf_peft_compare.models.quantization import check_installed, keep_layout, loading_arguments, quantization_of
from hf_peft_compare.utils.distributed import on_cpu
from hf_peft_compare.utils.hub_errors import explain

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


def seeded_base(config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Load a run's base, ready for its method; weights that are drawn are those of the run's seed."""
    transformers.set_seed(config.seed)
    base = load_base(config)
    prepare_base(base, tokenizer)
    return base


def prepare_base(base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let positions follow from the mask, and name the loss and the padding."""
    if tokenizer.padding_side == "left":  # padding on the right never moved a position
        count_positions_from_mask(base)
    if base.get_output_embeddings() is None:
        base.config.pad_token_id = tokenizer.pad_token_id  # by which a class head on a decoder finds the last token
    # It is what transformers takes where a class name such as GPT-2's tells no loss, with a warning in each forward
    # pass, which would break a compiled graph.
    base.loss_type = base.loss_type or "ForCausalLM"


def model_path(config: StudyProtocol) -> str:
    """Give the hub id or folder of the base model."""
    if config.model_name_or_path == EMBEDDED:
        from hf_peft_compare.quickstart import BASE_FOLDER

        return str(BASE_FOLDER)
    return config.model_name_or_path


def load_tokenizer(config: StudyProtocol) -> Any:
    """Load the tokenizer, with eos as padding where it has none.

    It pads on the left, so that what is predicted from stands at the right end; on the right for the class heads of
    encoders, which read the first token, and for heads that find their place by the mask.

    Raises:
        UserError: it cannot be had, or has no pad or eos token where one is needed.
    """
    name = config.tokenizer_name_or_path or model_path(config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=config.model_revision)
    except Exception as error:  # transformers raises many kinds; each is about what the user gave
        raise UserError(explain("model", name, error)) from None
    head = head_of(config)
    if tokenizer.eos_token_id is None and (head.generates or tokenizer.pad_token_id is None):
        has = "a pad token only" if tokenizer.pad_token_id is not None else "neither a pad nor an eos token"
        raise UserError(
            f"the tokenizer of {name} has {has}; the end of a completion needs one. Set eos_token in its "
            f"tokenizer_config.json, or another tokenizer_name_or_path."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    decoder = head.generates or tokenizer.cls_token_id is None
    tokenizer.padding_side = "left" if decoder and not head.pads_right else "right"
    return tokenizer


def architecture_fields(config: StudyProtocol) -> dict[str, Any]:
    """Give the fields over the base model's config: the study's `architecture`, its attention, the classes' names.

    Raises:
        UserError: an attention that cannot train or evaluate here, or no classes for a head that tells them.
    """
    return {**config.architecture, **_attention(config), **_classes(config)}


def _classes(config: StudyProtocol) -> dict[str, Any]:
    labels = class_names(config)
    if labels is None:
        return {}
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return {"num_labels": len(labels), **names}


def load_architecture(config: StudyProtocol) -> Any:
    """Load the base model's config, with the run's own fields over it.

    Raises:
        UserError: it cannot be had, or has a class head of other classes.
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
    if "id2label" in fields and config.init == "pretrained":
        _check_classes(config, saved, fields["id2label"])
    return architecture


def _check_classes(config: StudyProtocol, saved: Any, names: dict[int, str]) -> None:
    """Refuse to lay a study's classes over a checkpoint whose class head was trained for a different number of them."""
    trained = any("ForSequenceClassification" in name for name in saved.architectures or [])
    if trained and saved.num_labels != len(names):
        raise UserError(
            f"{config.model_name_or_path} has a class head of {saved.num_labels} classes "
            f"({', '.join(map(str, saved.id2label.values()))}), task.labels has {len(names)} "
            f"({', '.join(names.values())}). List the model's classes, or choose a base without a class head."
        )


def _attention(config: StudyProtocol) -> dict[str, str]:
    """Give the config field of the attention that a study asks for; nothing where transformers may choose.

    Raises:
        UserError: one that cannot train or evaluate here.
    """
    name = config.attn_implementation
    if name is None:
        return {}
    if "flash" in name:
        raise UserError(f"{_asked_for(config)}, which needs half precision, but evaluation is in float32; set sdpa.")
    if name == "flex_attention" and on_cpu():
        raise UserError(f"{_asked_for(config)}, which cannot train on a CPU; set sdpa, or leave it out.")
    return {"attn_implementation": name}


def _asked_for(config: StudyProtocol) -> str:
    return f"attn_implementation is {config.attn_implementation!r}"


def load_base(config: StudyProtocol) -> PreTrainedModel:
    """Load the base model in float32, or quantized where the run's method wants it so.

    Where `init` is "config", it is built with random weights.

    Raises:
        UserError: it cannot be had, or does not have the attention that the study asks for.
    """
    if config.attn_implementation is not None:
        base_on_meta(config)  # before any weights are read
    architecture = load_architecture(config)
    if config.init == "config":
        return random_base(config, architecture)
    try:
        base = head_of(config).auto_class.from_pretrained(
            model_path(config), config=architecture, revision=config.model_revision, **_loading(config, architecture)
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(explain("model", model_path(config), error)) from None
    keep_layout(base)
    return base


def random_base(config: StudyProtocol, architecture: PretrainedConfig) -> PreTrainedModel:
    """Build a base model with random weights, which are quantized where the run's method wants it so."""
    base = head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    if quantization_of(config) is not None:
        weights, loading = base.state_dict(), _loading(config, architecture)
        base = type(base).from_pretrained(None, config=architecture, state_dict=weights, **loading)
        keep_layout(base)
    return base


def _loading(config: StudyProtocol, architecture: PretrainedConfig) -> dict[str, Any]:
    """Give the arguments by which weights are loaded: float32, or quantized."""
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
        UserError: it does not have the attention that the study asks for.
    """
    architecture = load_architecture(config)
    try:
        with torch.device("meta"):
            return head_of(config).auto_class.from_config(architecture, dtype=torch.float32)
    except (ImportError, ValueError) as error:
        if config.attn_implementation is None:
            raise
        reason = str(error).split(". ")[0]
        raise UserError(f"{_asked_for(config)}: {reason}. Set sdpa or eager, or leave it out.") from None
