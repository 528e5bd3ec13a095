"""Fused features: two frozen encoders embed image and text once, and a small head is trained on both."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Card
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.methods.frozen_features import FeatureMethod

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_peft_compare.models.features.feature_model import FeatureModel


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FusedFeaturesSettings:
    """Settings of fused features; the text encoder is the row's `model_name_or_path`.

    Args:
        image_encoder: a Hub id or folder; None: the text encoder embeds images too, as CLIP does.
        image_architecture: fields of the image encoder's config, including `model_type`, so that `plan` needs no
            download.
        pooling: how the states of a text become its embedding, as in frozen features; a model of texts and images does
            its own pooling.
        hidden_size: units of each encoder's linear layer with ReLU.
    """

    image_encoder: str | None = None
    image_architecture: dict[str, Any] = field(default_factory=dict)
    pooling: Literal["auto", "last", "cls", "mean"] = "auto"
    hidden_size: PositiveInt = 256


def build_fused_features(
    base: PreTrainedModel, settings: FusedFeaturesSettings, tokenizer: PreTrainedTokenizerBase | None
) -> FeatureModel:
    """Return both frozen encoders with a new head on their embeddings.

    Raises:
        UserError: the image encoder cannot be loaded, or there is none.
    """
    from hf_peft_compare.models.features.feature_model import FeatureModel
    from hf_peft_compare.models.features.heads import FusedClassifier
    from hf_peft_compare.models.features.images import ImageEncoder
    from hf_peft_compare.models.features.pooling import choose_pooling, num_classes, text_width

    model = _image_model(base, settings)
    images = ImageEncoder(model, settings.image_encoder or base.config._name_or_path)
    widths = [images.width, text_width(base)]
    head = FusedClassifier(widths, num_classes(base), hidden_size=settings.hidden_size)
    return FeatureModel(base, head, pooling=choose_pooling(settings.pooling, tokenizer), images=images)


def _image_model(base: PreTrainedModel, settings: FusedFeaturesSettings) -> Any:
    """Load the image encoder, or build it on the meta device like the base; return the base itself if none is set."""
    if settings.image_encoder is None:
        if not hasattr(base, "get_image_features"):
            raise UserError(
                f"fused_features: {type(base).__name__} embeds texts only; set an image_encoder, e.g. "
                f"microsoft/resnet-50, or choose a model of texts and images, e.g. openai/clip-vit-base-patch32."
            )
        return base
    import torch
    from transformers import AutoConfig, AutoModel

    from hf_peft_compare.models.architecture import architecture_class, without_arguments
    from hf_peft_compare.utils.hub_errors import explain
    from hf_peft_compare.utils.remote_code import load_auto

    given = settings.image_architecture
    try:
        if base.device.type != "meta":
            model = load_auto(AutoModel.from_pretrained, settings.image_encoder, dtype=torch.float32)
            return model.to(base.device).eval()
        if "model_type" in given and not Path(settings.image_encoder).is_dir():
            kind = architecture_class(given["model_type"])
            config = kind(**without_arguments(given, kind))
        else:
            config = load_auto(AutoConfig.from_pretrained, settings.image_encoder)
        with torch.device("meta"):
            return load_auto(AutoModel.from_config, config, dtype=torch.float32)
    except UserError:
        raise
    except Exception as error:  # transformers raises many types of errors; each is caused by the input
        raise UserError(explain("model", settings.image_encoder, error)) from None


class FusedFeatures(FeatureMethod[FusedFeaturesSettings]):
    """Train a small classifier on frozen embeddings of image and text."""

    name = "fused_features"
    title = "Fused features"
    card = Card(
        idea=(
            "Two pretrained encoders, one of images and one of texts, embed each picture and each question once. A "
            "linear layer with ReLU brings either embedding to one size; a linear classifier of both tells the answer."
        ),
        formula=(
            r"p_\theta(y \mid v, x) = \mathrm{softmax}(W [\mathrm{ReLU}(W_v f(v)); \mathrm{ReLU}(W_x g(x))]), "
            r"\quad f, g \text{ frozen}"
        ),
        parameter_count="(F + 1) × M + (H + 1) × M + (2M + 1) × C for embeddings of F and H numbers and M units each",
        when_to_use=(
            "When image and text are to be read together and compute is scarce: training takes seconds. Concatenation "
            "sees the picture as one vector, so what a question asks of a small part of it is often lost."
        ),
        paper="Antol et al. (2015), VQA: Visual Question Answering",
        url="https://arxiv.org/abs/1505.00468",
    )
    settings = FusedFeaturesSettings

    def other_models(self, settings: FusedFeaturesSettings) -> list[str]:
        """Return the image encoder if it is a separate model."""
        return [settings.image_encoder] if settings.image_encoder is not None else []

    def build(
        self, base: PreTrainedModel, settings: FusedFeaturesSettings, tokenizer: PreTrainedTokenizerBase | None
    ) -> FeatureModel:
        """Return the frozen encoders with a new head; raise UserError if an encoder cannot be loaded."""
        return build_fused_features(base, settings, tokenizer)
