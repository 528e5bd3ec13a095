"""A row for what was trained elsewhere: an adapter in peft's format, or a whole model, scored as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Card, PromptingMethod
from hf_peft_compare.core.settings import STRICT, LocalOrHub
from hf_peft_compare.methods.peft_method import adapter_config, build_from, load_adapter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER_CONFIG, MODEL_CONFIG = "adapter_config.json", "config.json"
TOLERANCE = 1e-3  # relative to the logits' std: float32 rounding is far below it, another model far above


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CheckpointSettings:
    """Settings of a checkpoint.

    Args:
        checkpoint: a folder or hub id of an adapter that peft can load, or of a model of the base's architecture.
        any_base: take an adapter whose config names another base, which is this one under another name.
    """

    checkpoint: LocalOrHub
    any_base: bool = False


class Checkpoint(PromptingMethod[CheckpointSettings]):
    """An adapter or a model that was trained elsewhere."""

    name = "checkpoint"
    title = "Checkpoint"
    card = Card(
        idea="What somebody has trained before is scored beside the other rows, on the same test examples.",
        formula=r"p_{\theta, \phi}(y \mid x), \quad \theta, \phi \text{ as they come}",
        parameter_count="an adapter's own; 0 for a whole model, whose training is not known",
        when_to_use=(
            "To compare adapters that are there already, or a published model with what is trained here. Its training "
            "data are not known: test examples may be among them."
        ),
        paper="Mangrulkar et al. (2022), PEFT: State-of-the-art Parameter-Efficient Fine-Tuning methods",
        url="https://github.com/huggingface/peft",
    )
    settings = CheckpointSettings

    def other_models(self, settings: CheckpointSettings) -> Sequence[str]:
        """Return the checkpoint."""
        return (settings.checkpoint,)

    def num_virtual_tokens(self, settings: CheckpointSettings) -> int:
        """Return the number of virtual tokens of a soft prompt; 0 for others."""
        config = _adapter_config(settings.checkpoint)
        return int(getattr(config, "num_virtual_tokens", None) or 0)

    def build(
        self, base: PreTrainedModel, settings: CheckpointSettings, tokenizer: PreTrainedTokenizerBase
    ) -> nn.Module:
        """Return the base with the adapter, whose parameters count as trained, or with the model's weights.

        Raises:
            UserError: there is neither, it is of another base, or it does not fit.
        """
        config = _adapter_config(settings.checkpoint)
        if config is None:
            return base.requires_grad_(False) if base.device.type == "meta" else _with_weights(base, settings)
        _check_base(config, base, settings)
        if base.device.type == "meta":
            config.inference_mode = False  # its parameters are counted
            return build_from(base, config)
        try:
            return load_adapter(base, settings.checkpoint, is_trainable=True)
        except UserError:
            raise
        except Exception as error:  # peft's and torch's errors of shapes, names and files
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"the adapter in {settings.checkpoint} does not fit the base: {reason}") from None

    def load(self, base: PreTrainedModel, folder: Path, settings: CheckpointSettings) -> nn.Module:
        """Return the base with the checkpoint, which is where it was; nothing of it is saved with a run."""
        return self.build(base, settings, None)  # type: ignore[arg-type]  # its tokens do not matter


def _adapter_config(checkpoint: str) -> Any:
    """Return peft's config of an adapter; None: it is a whole model.

    Raises:
        UserError: a local folder is neither.
    """
    folder = Path(checkpoint)
    if folder.is_dir() and not (folder / ADAPTER_CONFIG).is_file():
        if (folder / MODEL_CONFIG).is_file():
            return None
        raise UserError(
            f"checkpoint is {checkpoint}, a folder without {ADAPTER_CONFIG} and {MODEL_CONFIG}; expected an adapter "
            f"that peft has saved, or a model that transformers has saved."
        )
    return adapter_config(checkpoint)


def _check_base(config: Any, base: PreTrainedModel, settings: CheckpointSettings) -> None:
    """Raise UserError if an adapter's config names another base than this one, or another kind of head."""
    from hf_peft_compare.models.heads import peft_task_type

    if config.task_type != peft_task_type(base):
        raise UserError(
            f"the adapter in {settings.checkpoint} is for {config.task_type}, and the row's head is "
            f"{peft_task_type(base)} (peft's names). Use it in a study of such a task."
        )
    trained_on, ours = config.base_model_name_or_path, base.config._name_or_path
    if settings.any_base or not trained_on or not ours or Path(trained_on).name == Path(ours).name:
        return
    raise UserError(
        f"the adapter in {settings.checkpoint} was trained on {trained_on}, and the study's base is {ours}. Set "
        f"model_name_or_path to that base, or any_base=true if both are the same weights under two names."
    )


def _with_weights(base: PreTrainedModel, settings: CheckpointSettings) -> PreTrainedModel:
    """Return the base with the weights of a model.

    Raises:
        UserError: it is of another architecture or config, or in part, or has its classes in another order.
    """
    from hf_peft_compare.methods.last_layers import untie_head
    from hf_peft_compare.models.architecture import check_class_order

    kind: Any = type(base)
    try:
        other, info = kind.from_pretrained(settings.checkpoint, output_loading_info=True, dtype=base.dtype)
    except Exception as error:  # transformers raises many types of errors; each is caused by the input
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"checkpoint {settings.checkpoint} cannot be loaded as {kind.__name__}: {reason}") from None
    ours, theirs = ({name: t.shape for name, t in model.state_dict().items()} for model in (base, other))
    differing = (name for name in {*ours, *theirs} if theirs.get(name) != ours.get(name))
    if wrong := sorted({*info["missing_keys"], *differing}):
        raise UserError(
            f"checkpoint {settings.checkpoint} does not fit the base: {len(wrong)} of {len(ours)} tensors are missing "
            f"or of another shape, such as {wrong[0]}. Use a model that was trained from this base, for this task."
        )
    if base.get_output_embeddings() is None:
        names: Any = base.config.id2label
        check_class_order(f"checkpoint {settings.checkpoint}", other.config.id2label, names)
    head = other.get_output_embeddings()
    if head is not None and head.weight is not other.get_input_embeddings().weight:
        untie_head(base)
    base.load_state_dict(other.state_dict())
    # A finished run may be loaded onto a GPU; its checkpoint was compared before it was scored.
    if base.device.type == "cpu" and not _compute_the_same(base, other):
        raise UserError(
            f"checkpoint {settings.checkpoint} computes other logits than the base with its weights: other fields of "
            f"their configs differ, such as rope_theta. Set the row's model_name_or_path to the model that it was "
            f"trained from."
        )
    return base.requires_grad_(False)


def _compute_the_same(base: Any, other: Any) -> bool:
    """Whether two models with the same weights compute the same logits, which depend on their configs too."""
    import torch

    ids = torch.arange(100, 116)[None] % base.get_input_embeddings().num_embeddings
    inputs = {"input_ids": ids, **({"decoder_input_ids": ids} if base.config.is_encoder_decoder else {})}
    with torch.no_grad():
        found, expected = (model.eval()(**inputs).logits for model in (base, other))
    return bool((found - expected).abs().max() <= TOLERANCE * expected.std())
