"""Frozen features: the base embeds each text once, and a small head is trained on the embeddings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Method, Range
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.core.task import AnyTask, Example, Format

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_peft_compare.models.features.feature_model import FeatureModel


S = TypeVar("S")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FrozenFeaturesSettings:
    """Settings of frozen features.

    Args:
        pooling: how the states of a text become its embedding: the state of the "last" or "cls" (first) token, or the
            "mean" over all tokens; "auto": the mean for encoders, the last token for decoders.
        hidden_size: units of one hidden layer with ReLU; None: the head is linear.
    """

    pooling: Literal["auto", "last", "cls", "mean"] = "auto"
    hidden_size: PositiveInt | None = None


def build_frozen_features(
    base: PreTrainedModel, settings: FrozenFeaturesSettings, tokenizer: PreTrainedTokenizerBase | None
) -> FeatureModel:
    """Return the frozen base with a new head on its embeddings [H]."""
    from hf_peft_compare.models.features.feature_model import FeatureModel
    from hf_peft_compare.models.features.heads import classifier
    from hf_peft_compare.models.features.pooling import choose_pooling, num_classes, text_width

    head = classifier(text_width(base), num_classes(base), hidden_size=settings.hidden_size)
    return FeatureModel(base, head, pooling=choose_pooling(settings.pooling, tokenizer))


class FeatureMethod(Method[S]):
    """A method that trains a head on the embeddings of frozen encoders, which are computed once."""

    # Adam's own default (Kingma and Ba (2015)): the head is trained from scratch, and nothing pretrained can suffer.
    training_defaults = {"learning_rate": 1e-3}
    tunables = {"training.learning_rate": Range(low=1e-4, high=1e-1)}

    @abstractmethod
    def build(self, base: PreTrainedModel, settings: S, tokenizer: PreTrainedTokenizerBase | None) -> FeatureModel:
        """Return the frozen encoders with a new head."""

    def head(self, settings: S) -> str:
        """Return the name of the base without a head, since the method adds its own."""
        return "features"

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the head."""
        cast("FeatureModel", model).save_head(folder)

    def load(self, base: PreTrainedModel, folder: Path, settings: S) -> nn.Module:
        """Return the encoders with the saved head."""
        return self.build(base, settings, None).load_head(folder)


class FrozenFeatures(FeatureMethod[FrozenFeaturesSettings]):
    """Train a small classifier on frozen embeddings."""

    name = "frozen_features"
    title = "Frozen features"
    card = Card(
        idea=(
            "The model is a fixed function from texts to vectors. It embeds every text once; only a small classifier "
            "of the vectors is trained, whose steps cost next to nothing."
        ),
        formula=r"p_\theta(y \mid x) = \mathrm{softmax}(W\, \mathrm{pool}(f(x)) + b), \quad f \text{ frozen}",
        parameter_count="(H + 1) × C for a linear head; (H + 1) × M + (M + 1) × C with M hidden units",
        when_to_use=(
            "As the first thing to try, since it takes one pass over the data however many heads, seeds and rates are "
            "tried, and when one set of embeddings serves many tasks. What the embedding does not hold, no head can "
            "find: adapting the model itself is usually better where labels are plenty."
        ),
        paper="Peters et al. (2019), To Tune or Not to Tune? Adapting Pretrained Representations to Diverse Tasks",
        url="https://arxiv.org/abs/1903.05987",
    )
    settings = FrozenFeaturesSettings

    def build(
        self, base: PreTrainedModel, settings: FrozenFeaturesSettings, tokenizer: PreTrainedTokenizerBase | None
    ) -> FeatureModel:
        """Return the frozen base with a new head; raise UserError if its pooling does not fit the model."""
        return build_frozen_features(base, settings, tokenizer)

    def format(
        self,
        settings: FrozenFeaturesSettings,
        task: AnyTask,
        task_settings: Any,
        train: Sequence[Example],
        seed: int,
    ) -> Format | None:
        """Return the format of the plain texts if the task would use a prompt; otherwise None."""
        if task.head != "causal_lm":
            return None
        from hf_peft_compare.tasks.sequence_classification import sequence_classification_format

        return sequence_classification_format(task_settings)
