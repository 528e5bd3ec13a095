"""Load the base model and its tokenizer, or build the model with random weights or on the meta device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedModel

from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.chat import is_chat, layout_of
from hf_peft_compare.data.position_ids import count_positions_from_mask
from hf_peft_compare.models.architecture import attention_setting, load_architecture, unbuildable
from hf_peft_compare.models.encoder_decoder import prepare_encoder_decoder
from hf_peft_compare.models.fitting import check_tensors, check_vocabulary
from hf_peft_compare.models.gguf import dequantized, gguf_argument, model_path, unreadable_base
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.quantization import check_installed, keep_layout, loading_arguments, quantization_of
from hf_peft_compare.utils.hub_errors import explain
from hf_peft_compare.utils.remote_code import load_auto

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

WEIGHT_FILES = ("*.safetensors", "*.bin")
MOST_LAYERS = 2_000  # twice as many as the deepest published; each is built, for every row, before anything runs


def seeded_base(config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Load the base model with the run's seed set."""
    transformers.set_seed(config.seed)
    base = load_base(config)
    prepare_base(base, tokenizer)
    return base


def prepare_base(base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Patch a base model: positions from the attention mask, loss type, padding token, and how a decoder starts."""
    if tokenizer.padding_side == "left":  # padding on the right does not change positions
        count_positions_from_mask(base)
    if base.get_output_embeddings() is None:
        base.config.pad_token_id = tokenizer.pad_token_id  # class heads on decoders locate the last token with it
    elif base.config.is_encoder_decoder:
        prepare_encoder_decoder(base, tokenizer)
    # transformers falls back to this loss if it finds none for a class name such as GPT-2's, with a warning in each
    # forward pass, which would break a compiled graph.
    base.loss_type = base.loss_type or "ForCausalLM"


def tokenizer_path(config: StudyProtocol) -> str:
    """Return the Hub id or folder of the tokenizer: the base model's, unless the study names another."""
    return config.tokenizer_name_or_path or model_path(config)


def load_tokenizer(config: StudyProtocol) -> Any:
    """Load the tokenizer, with eos as padding token if it has none; in a chat, eos is the end of the assistant's turn.

    It pads on the left, so that the last token is at the right end; on the right for the class heads of encoders, which
    read the first token, for encoder-decoders, and for heads that use the attention mask.

    Raises:
        UserError: the tokenizer cannot be loaded, or lacks a vocabulary, a required pad or eos token, or the chat
            template that the study asks for.
    """
    name = tokenizer_path(config)
    within = {} if config.tokenizer_name_or_path else gguf_argument(config)
    try:
        tokenizer = load_auto(AutoTokenizer.from_pretrained, name, revision=config.model_revision, **within)
    except Exception as error:  # transformers raises many types of errors; each is caused by the input
        raise (unreadable_base(config, error) if within else UserError(explain("model", name, error))) from None
    check_vocabulary(name, tokenizer)
    head = head_of(config)
    if tokenizer.eos_token_id is None and (head.generates or tokenizer.pad_token_id is None):
        has = "a pad token only" if tokenizer.pad_token_id is not None else "neither a pad nor an eos token"
        raise UserError(
            f"the tokenizer of {name} has {has}, but completions end with an eos token. Set eos_token in its "
            f"tokenizer_config.json, or choose another tokenizer_name_or_path."
        )
    if head.generates and is_chat(config, tokenizer):
        tokenizer.eos_token = layout_of(tokenizer, () if config.system_prompt is None else ("system",)).end
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    decoder = head.generates or tokenizer.cls_token_id is None
    tokenizer.padding_side = "left" if decoder and not head.pads_right else "right"
    return tokenizer


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
    if config.gguf_file is not None:
        return _quantized(config, _from_pretrained(config, architecture, dtype=torch.float32, **dequantized(config)))
    base = _from_pretrained(config, architecture, **_loading(config, architecture))
    keep_layout(base)
    return base


def check_weights(config: StudyProtocol) -> None:
    """Check that local weights fit the base's architecture, without reading more than their names and shapes.

    Raises:
        UserError: there are none, or they cannot be read; Misfit: they do not fit.
    """
    folder = Path(model_path(config))
    if config.gguf_file is not None:
        load_architecture(config)  # reads the whole header; a file that is cut short has none
        return
    if config.init == "pretrained" and folder.is_dir():
        if not has_weights(config):
            raise UserError(
                f"model folder {folder} has no weights ({' or '.join(WEIGHT_FILES)}); use a folder written "
                f"by save_pretrained, or set init=config to start from random weights."
            )
        architecture = load_architecture(config)
        if getattr(architecture, "quantization_config", None) is None:
            _from_pretrained(config, architecture, dtype=torch.float32, device_map="meta")


def has_weights(config: StudyProtocol) -> bool:
    """Whether the base model is a local folder with weights."""
    if config.gguf_file is not None:
        return Path(model_path(config), config.gguf_file).is_file()
    return any(any(Path(model_path(config)).glob(pattern)) for pattern in WEIGHT_FILES)


def _from_pretrained(config: StudyProtocol, architecture: PretrainedConfig, **loading: object) -> PreTrainedModel:
    """Load a base, and check that nothing but a new head is left random."""
    name = model_path(config)
    try:
        base, info = load_auto(
            head_of(config).auto_class.from_pretrained,
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
        raise unreadable_base(config, error) from None
    check_tensors(config, name, base, info)
    loaded: PreTrainedModel = base
    return loaded


def random_base(config: StudyProtocol, architecture: PretrainedConfig) -> PreTrainedModel:
    """Build a base model with random weights, quantized if the run's method requires it."""
    return _quantized(config, _from_config(config, architecture))


def _quantized(config: StudyProtocol, base: PreTrainedModel) -> PreTrainedModel:
    """Return a base in float32 quantized if the run's method requires it, else as it is."""
    if quantization_of(config) is not None:
        weights, loading = base.state_dict(), _loading(config, base.config)
        base = type(base).from_pretrained(None, config=base.config, state_dict=weights, **loading)
        keep_layout(base)
    return base


def _loading(config: StudyProtocol, architecture: PretrainedConfig) -> dict[str, Any]:
    """Return the arguments for loading weights in float32, or quantized."""
    quantization = quantization_of(config)
    if quantization is None:
        return {"dtype": torch.float32}
    check_installed(config)
    with torch.device("meta"):
        on_meta = _from_config(config, architecture)
    return {"dtype": torch.float32, **loading_arguments(quantization, on_meta)}


def base_on_meta(config: StudyProtocol) -> PreTrainedModel:
    """Build the base model's architecture on the meta device.

    Raises:
        UserError: transformers cannot build it, it does not support the study's attention implementation, or it has
            absurdly many layers.
    """
    architecture = load_architecture(config)
    if (layers := getattr(architecture.get_text_config(), "num_hidden_layers", 0)) > MOST_LAYERS:
        raise UserError(f"the model has {layers:,} layers; at most {MOST_LAYERS:,} are built. Check architecture.")
    with torch.device("meta"):
        return _from_config(config, architecture)


def _from_config(config: StudyProtocol, architecture: PretrainedConfig) -> PreTrainedModel:
    try:
        return head_of(config).new_model(architecture)
    except Exception as error:  # every model validates its config differently
        if config.attn_implementation is None:
            raise unbuildable(architecture.model_type, error) from None
        reason = str(error).split(". ")[0]
        raise UserError(f"{attention_setting(config)}: {reason}. Set sdpa or eager, or remove the setting.") from None
