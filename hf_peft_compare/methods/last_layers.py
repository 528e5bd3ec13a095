"""Last layers: the head and the last transformer blocks are trained, everything below is frozen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Card, Choices, Method, Range
from hf_peft_compare.core.settings import STRICT, NonNegativeInt

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


TRAINED_FILE = "trainables.safetensors"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LastLayersSettings:
    """Settings of last layers.

    Args:
        num_layers: number of transformer blocks trained in addition to the head, of an encoder-decoder the decoder's;
            0: the head only.
    """

    num_layers: NonNegativeInt = 1


def build_last_layers(base: PreTrainedModel, settings: LastLayersSettings) -> PreTrainedModel:
    """Freeze all but the head and the last blocks, and return the base; a tied LM head is untied first.

    The head of a classifier is its class head, and the pooler below it if there is one. The last blocks of an
    encoder-decoder are those of its decoder; its encoder is frozen.

    Raises:
        UserError: `num_layers` is larger than the number of blocks of the model.
    """
    blocks = _blocks(base)
    if settings.num_layers > len(blocks):
        depth = len(blocks)
        raise UserError(
            f"last_layers: num_layers is {settings.num_layers}; the model has {depth} blocks, so set 0 to {depth}."
        )
    from hf_peft_compare.models.frozen_trunk import head_modules

    base.requires_grad_(False)
    if base.get_output_embeddings() is not None:
        untie_head(base)
    for module in (*blocks[len(blocks) - settings.num_layers :], *head_modules(base)):
        module.requires_grad_(True)
    return base


def untie_head(model: Any) -> None:
    """Copy the weights of a tied LM head, so that training it does not change the input embedding."""
    import torch

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight is embedding.weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
    if not model.config.is_encoder_decoder:  # whose other embeddings the setting ties too; a saved head is kept apart
        model.config.tie_word_embeddings = False
    assert head.weight.is_meta or head.weight.data_ptr() != embedding.weight.data_ptr()


def _blocks(model: PreTrainedModel) -> Any:
    from hf_peft_compare.models.frozen_trunk import transformer_blocks

    blocks = transformer_blocks(model)
    if blocks is None:
        depth = model.config.num_hidden_layers
        raise UserError(f"last_layers found no list of {depth} transformer blocks in {type(model).__name__}.")
    return blocks


class LastLayers(Method[LastLayersSettings]):
    """Train the head and the last blocks."""

    name = "last_layers"
    title = "Last layers"
    card = Card(
        idea=(
            "The classic transfer recipe: the lower layers keep what they learned, only the head and the last blocks "
            "adapt. A language-modelling head is untied from the input embedding first."
        ),
        formula=r"y = \mathrm{head}_\phi(f_{L,\phi}(\dots f_{L-k+1,\phi}(h_{L-k}))), \quad h_{L-k} \text{ frozen}",
        parameter_count=(
            "V × H for a language-modelling head, C × H or so for a class head, and the parameters of the last "
            "num_layers blocks"
        ),
        when_to_use=(
            "When the frozen trunk's features already hold what the task needs. The head of a language model is large, "
            "so few layers are still many parameters, and what must change lower down cannot."
        ),
        paper="Howard and Ruder (2018), Universal Language Model Fine-tuning for Text Classification",
        url="https://arxiv.org/abs/1801.06146",
        theory=(
            "Low layers compute features that many tasks share, high ones those of the task (Yosinski et al. 2014), so "
            "the high ones are changed, at full rank. What the frozen trunk has thrown away cannot be had back, which "
            "is where adapters in every layer win. Nothing is differentiated below the boundary, and the trunk's "
            "states never change: they can be computed once and kept."
        ),
    )
    settings = LastLayersSettings
    # No paper has a rate for it. Of eight rates for MiniLM on tweets, 4.6e-4 had the lowest validation loss, for full
    # fine-tuning 9.3e-5; the layers that stay frozen cannot be distorted.
    training_defaults = {"learning_rate": 5e-4}
    tunables = {"training.learning_rate": Range(low=5e-5, high=5e-2), "num_layers": Choices(values=(0, 1, 2))}

    mergeable = True

    def build(
        self, base: PreTrainedModel, settings: LastLayersSettings, tokenizer: PreTrainedTokenizerBase
    ) -> nn.Module:
        """Return the base, frozen below its last blocks; raise UserError as `build_last_layers` does."""
        return build_last_layers(base, settings)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the trained tensors only, by name."""
        from hf_peft_compare.models.trainable_parameters import save_trainables

        save_trainables(model, folder / TRAINED_FILE)

    def load(self, base: PreTrainedModel, folder: Path, settings: LastLayersSettings) -> nn.Module:
        """Return the base with the trained tensors, and the head untied as in training."""
        from hf_peft_compare.models.trainable_parameters import load_trainables

        model = build_last_layers(base, settings)
        load_trainables(model, folder / TRAINED_FILE)
        return model

    def merge(self, model: nn.Module) -> PreTrainedModel:
        """Return the model, which is already a plain transformers model."""
        return cast("PreTrainedModel", model)
