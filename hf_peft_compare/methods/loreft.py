"""LoReFT and DiReFT: hidden states are edited, at a few positions of the prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Card, Choices, Method, Range
from hf_peft_compare.core.settings import STRICT, NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TRAINED_FILE = "edits.safetensors"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LoReftSettings:
    """Settings of LoReFT.

    Of a prompt that is shorter than both numbers of positions, its first half and its last half are edited.

    Args:
        kind: "loreft", or "direft" without orthogonality and difference, both as in the paper. (Its code has that under
            the name of `NodireftIntervention`, and another one, with orthogonality, under that of DiReFT.)
        r: the rank of an edit.
        num_first: number of the prompt's first positions that are edited.
        num_last: number of its last positions that are edited.
        tied: whether a block has one edit for all positions; else one for the first and one for the last ones.
        layers: the edited blocks, from 0; null: all.
        dropout: the share of an edited state's numbers that is dropped in training.
        parametrization: how R is kept orthonormal: "qr", which is fast, or "householder", as in the paper's code. Both
            reach the same R, on other paths.
    """

    kind: Literal["loreft", "direft"] = "loreft"
    r: PositiveInt = 4
    num_first: NonNegativeInt = 5
    num_last: NonNegativeInt = 5
    tied: bool = True
    layers: list[NonNegativeInt] | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    parametrization: Literal["qr", "householder"] = "qr"


CARD = Card(
    idea=(
        "No weight is changed: after each block, the hidden states of the prompt's first and last tokens are moved "
        "within a space of r dimensions, which is learned, to where a learned projection of them says."
    ),
    formula=(
        r"\Phi(h) = h + R^\top (W h + b - R h), \quad R, W \in \mathbb{R}^{r \times H} \text{ and } b \text{ trained}, "
        r"\ R R^\top = I"
    ),
    parameter_count="(2 × H × r + r) per edited block, twice that where first and last positions are not tied",
    when_to_use=(
        "When an adapter must be tiny, tens of times smaller than LoRA's, and what is needed can be said in the "
        "prompt's states. It edits only the prompt, so generation costs nothing more; it cannot be merged."
    ),
    paper="Wu et al. (2024), ReFT: Representation Finetuning for Language Models",
    url="https://arxiv.org/abs/2404.03592",
    theory=(
        "The paper takes from interpretability that concepts are directions of the hidden states: what a distributed "
        "interchange intervention swaps for another input's value, LoReFT sets to a learned one. The projection that "
        "is subtracted makes the edit forget what stood in the space before. In the paper it does better than LoRA on "
        "commonsense questions with a tenth to a fiftieth of the parameters, and worse on arithmetic, where a long "
        "answer must be computed and only the prompt was edited; its baselines were taken from other papers."
    ),
)


class LoReft(Method[LoReftSettings]):
    """LoReFT, or DiReFT."""

    name = "loreft"
    title = "LoReFT"
    card = CARD
    settings = LoReftSettings
    # That of most experiments of Wu et al. (2024), who have no weight decay.
    training_defaults = {"learning_rate": 9e-4}
    tunables = {"training.learning_rate": Range(low=1e-4, high=1e-1), "r": Choices(values=(1, 4, 8, 16))}

    def variant(self, settings: LoReftSettings) -> tuple[str, Card] | None:
        """Return title and card of DiReFT, if that is what the settings choose."""
        if settings.kind == "loreft":
            return None
        return "DiReFT", Card(
            idea="As LoReFT, without the constraint on R and without what it subtracts: a LoRA of the hidden states.",
            formula=r"\Phi(h) = h + R^\top (W h + b), \quad R, W \text{ and } b \text{ trained}",
            parameter_count=CARD.parameter_count,
            when_to_use="To see what LoReFT's orthogonality is worth; in the paper, a point or two.",
            paper=CARD.paper,
            url=CARD.url,
        )

    def build(self, base: PreTrainedModel, settings: LoReftSettings, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the frozen base with edits; a class head is trained too.

        Raises:
            UserError: there is no position or no such block to edit, the rank exceeds the width, or the base is an
                encoder-decoder.
        """
        from hf_peft_compare.models.representation_edits import Edit, add_edits

        if base.config.is_encoder_decoder:
            raise UserError(
                "loreft edits a prompt's states in the blocks that also write the completion, and an encoder-decoder "
                "reads the prompt in its encoder; choose another method, such as lora or prompt_tuning."
            )
        if settings.num_first + settings.num_last == 0:
            raise UserError("loreft: num_first and num_last are both 0, so nothing is edited; raise one of them.")
        width: Any = base.get_input_embeddings().embedding_dim
        if settings.r > width:
            raise UserError(f"loreft: r is {settings.r}, above the model's width; set it to at most {width}.")

        def new() -> Edit:
            how = {"kind": settings.kind, "parametrization": settings.parametrization}
            return Edit(width, settings.r, dropout=settings.dropout, **how)

        first, last = settings.num_first, settings.num_last
        model: nn.Module = add_edits(base, settings.layers, new, num_first=first, num_last=last, tied=settings.tied)
        return model

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the edits, and the class head if there is one, by name."""
        from hf_peft_compare.models.trainable_parameters import save_trainables

        save_trainables(model, folder / TRAINED_FILE)

    def load(self, base: PreTrainedModel, folder: Path, settings: LoReftSettings) -> nn.Module:
        """Return the base with the saved edits."""
        from hf_peft_compare.models.trainable_parameters import load_trainables

        model = self.build(base, settings, None)  # type: ignore[arg-type]  # its tokens do not matter
        load_trainables(model, folder / TRAINED_FILE)
        return model
