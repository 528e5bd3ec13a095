"""A run's model, optimizer and batches on the meta device for tracing, without weights, download or memory."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers import Trainer

from hf_peft_compare.config.protocol import EMBEDDED, StudyProtocol
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.collators import ClassificationCollator, CompletionCollator, EncoderDecoderCollator
from hf_peft_compare.data.packing import pack
from hf_peft_compare.models.architecture import load_architecture, new_architecture, unbuildable
from hf_peft_compare.models.frozen_trunk import Trunk
from hf_peft_compare.models.heads import HEADS, Head, head_of
from hf_peft_compare.models.loading import load_tokenizer, prepare_base
from hf_peft_compare.models.quantization import check_installed, quantization_of
from hf_peft_compare.planning.devices import Device
from hf_peft_compare.planning.lengths import Shape
from hf_peft_compare.training.arguments import training_arguments
from hf_peft_compare.training.factory import apply_method

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

NUM_WORDS = 100  # distinct tokens of a synthetic text; smaller than any vocabulary


class AnyTokenizer:
    """A stub for a tokenizer that would have to be downloaded: token values do not matter on the meta device."""

    name_or_path = ""
    padding_side = "left"
    pad_token_id = 0

    def __call__(self, text: str, **settings: object) -> dict[str, list[int]]:
        """Return one token for every text."""
        return {"input_ids": [0]}


def plan_architecture(config: StudyProtocol) -> Any:
    """Return the base model's config: from the study if it sets a `model_type`, else the base model's own.

    A local folder is always read, since that costs nothing.

    Raises:
        UserError: the config cannot be loaded, or transformers cannot build a config from these fields.
    """
    if "model_type" not in config.architecture or is_local(config):
        return load_architecture(config)
    return new_architecture(config)


def trace_base(architecture: PretrainedConfig, head: Head = HEADS["causal_lm"]) -> Any:
    """Build the base model with a head on the meta device.

    Raises:
        UserError: transformers has no such head for this architecture, or rejects its fields.
    """
    try:
        with torch.device("meta"):
            return head.new_model(architecture)
    except Exception as error:  # every model validates its config differently
        raise unbuildable(architecture.model_type, error) from None


def build_on_meta(config: RunConfig, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Build a run's model as `training.factory.build` does, on the meta device; `base` is not changed.

    Raises:
        UserError: the base does not support the method's settings.
    """
    with torch.device("meta"):
        copied = copy.deepcopy(base)
        if (quantization := quantization_of(config)) is not None:
            copied.config.quantization_config = quantization
        prepare_base(copied, tokenizer)
        model = apply_method(copied, config, tokenizer)
    if any(parameter.requires_grad for parameter in model.parameters()):
        model.config.use_cache = False  # as the Trainer does
    return model


def check_settings(config: RunConfig, base: PreTrainedModel) -> None:
    """Raise UserError for settings that the base or a library does not support, whatever the data."""
    check_lengths(config, base)
    check_installed(config)
    training_arguments(config, output_dir=Path())


def check_lengths(config: RunConfig, base: PreTrainedModel) -> None:
    """Check `max_length` against the base's context length.

    Raises:
        UserError: it exceeds the context, or leaves no room for a prompt.
    """
    context = _context(base)
    if context is not None and config.max_length > context:
        raise UserError(
            f"max_length is {config.max_length} tokens, virtual ones counted, but the context of "
            f"{config.model_name_or_path} has {context}; set max_length to at most {context}."
        )
    if head_of(config).generates and config.max_prompt_length < 1:
        raise UserError(
            f"{config.row}: max_length is {config.max_length}, of which {config.max_length - config.max_text_length} "
            f"virtual tokens and {config.generation.max_new_tokens} new ones leave no room for a prompt; raise it."
        )


def _context(base: PreTrainedModel) -> int | None:
    """Return a base's maximum number of tokens; if padding has a position, as in RoBERTa, only those after it count."""
    context = getattr(base.config, "max_position_embeddings", None)
    table = next((m for name, m in base.named_modules() if name.endswith("embeddings.position_embeddings")), None)
    padding = getattr(table, "padding_idx", None)
    return context if context is None or padding is None else context - padding - 1


def is_local(config: StudyProtocol) -> bool:
    """Return whether the base model is a local folder."""
    return config.model_name_or_path == EMBEDDED or Path(config.model_name_or_path).is_dir()


def local_tokenizer(config: StudyProtocol) -> Any | None:
    """Load the tokenizer if that needs no download, else return None."""
    given = config.tokenizer_name_or_path
    if Path(given).is_dir() if given else is_local(config):
        return load_tokenizer(config)
    return None


def make_optimizer(model: PreTrainedModel, config: RunConfig, device: Device) -> Optimizer:
    """Build a run's optimizer as the Trainer would on a device.

    The meta device has no fused kernels; a plain optimizer replaces them, and its `defaults` are marked as fused.
    """
    arguments = training_arguments(config, output_dir=Path())
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained[0].is_meta:
        return kind(trained, **settings)
    fused = settings.pop("fused", False)
    if kind.__module__.startswith("torch.optim"):
        settings["foreach"] = device.cuda and not fused  # PyTorch's own choice, which depends on the device
    optimizer = kind(trained, **settings)
    optimizer.defaults["fused"] = fused
    return optimizer


def make_batch(
    shape: Shape, *, trunk: Trunk | None = None, packs: bool = False, apart: bool = False, device: str = "meta"
) -> dict[str, Any]:
    """Build a padded batch of a shape with the run's own collator: with completions, or else with classes.

    Args:
        apart: the completions are for an encoder-decoder.
        trunk: the batch includes the states of this frozen trunk.
        packs: the texts are packed into one row.
    """
    row = made_up_features(shape.width, min(shape.num_completion_tokens, shape.width - 1))
    completes = "num_completion_tokens" in row
    if trunk is not None:
        row["trunk_states"] = torch.zeros(trunk.num_states(row), trunk.width)
    if completes:
        batch = (EncoderDecoderCollator if apart else CompletionCollator)(pad_token_id=0)([row] * shape.num_rows)
    else:
        batch = ClassificationCollator(pad_token_id=0, padding_side="left")([row] * shape.num_rows)
    batch = pack(batch) if packs else batch
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}


def make_prompts(num_rows: int, width: int, *, device: str = "meta") -> dict[str, Any]:
    """Build a batch of texts without completions or classes."""
    batch = make_batch(Shape(num_rows, width, 0), device=device)
    del batch["labels"]
    return batch


def made_up_features(num_tokens: int, num_completion_tokens: int) -> Features:
    """Return an example of `num_tokens` with a completion of `num_completion_tokens`, or with a class if that is 0."""
    ids = [column % NUM_WORDS for column in range(num_tokens)]
    if num_completion_tokens > 0:
        return {"input_ids": ids, "num_completion_tokens": num_completion_tokens}
    return {"input_ids": ids, "label": 0}
