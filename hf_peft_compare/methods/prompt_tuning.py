"""Prompt tuning with this package's `PromptTuningModel`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, Choices, Method
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.methods.peft_rates import RATES

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_peft_compare.models.prompt_tuning import PromptTuningModel


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PromptTuningSettings:
    """Settings of prompt tuning; names and values are peft's.

    Args:
        num_virtual_tokens: P, the length of the soft prompt.
        prompt_tuning_init: how the prompt is initialized.
        prompt_tuning_init_text: the text for `TEXT`, truncated or repeated to P tokens.
    """

    num_virtual_tokens: PositiveInt = 20
    prompt_tuning_init: Literal["TEXT", "SAMPLE_VOCAB", "RANDOM"] = "TEXT"
    prompt_tuning_init_text: str = "[SUMMARIZE]"


def build_prompt_tuning(
    base: PreTrainedModel, settings: PromptTuningSettings, tokenizer: PreTrainedTokenizerBase
) -> PromptTuningModel:
    """Build the frozen base with a soft prompt [P, H], initialized according to the settings.

    A class head is trained too. In an encoder, the prompt follows the first token.
    """
    from hf_peft_compare.models import prompt_initializers as initializers
    from hf_peft_compare.models.prompt_tuning import PromptTuningModel

    embeddings = cast("Tensor", base.get_input_embeddings().weight)
    shape = {"num_virtual_tokens": settings.num_virtual_tokens}
    if settings.prompt_tuning_init == "TEXT":
        text = settings.prompt_tuning_init_text
        prompt = initializers.text_prompt(embeddings, **shape, text=text, tokenizer=tokenizer)
        noted = {"prompt_tuning_init_text": text, "tokenizer_name_or_path": tokenizer.name_or_path}
        return PromptTuningModel(base, prompt, prompt_tuning_init="TEXT", **noted)
    initialize = {"SAMPLE_VOCAB": initializers.vocabulary_prompt, "RANDOM": initializers.random_prompt}
    prompt = initialize[settings.prompt_tuning_init](embeddings, **shape)
    # peft's PromptTuningInit has no SAMPLE_VOCAB in older releases; the saved weights do not depend on this field.
    return PromptTuningModel(base, prompt, prompt_tuning_init="RANDOM")


class PromptTuning(Method[PromptTuningSettings]):
    """Prompt tuning with this package's own model."""

    name = "prompt_tuning"
    title = "Prompt tuning"
    card = Card(
        idea=(
            "A few vectors in the model's embedding space stand in front of every input and are learned by gradient "
            "descent; the model itself is frozen. A discrete prompt must be made of words that exist, a soft prompt "
            "may be any point of the space."
        ),
        formula=r"p_\theta(y \mid [Z; E(x)]), \quad Z \in \mathbb{R}^{P \times H} \text{ trained}",
        parameter_count="P × H: virtual tokens times hidden size",
        when_to_use=(
            "Many tasks on one loaded base, when a checkpoint of kilobytes matters. It needs a learning rate 100 to "
            "1,000 times that of full fine-tuning, many steps, and a large base: its gap to full fine-tuning closes "
            "with scale."
        ),
        paper="Lester et al. (2021), The Power of Scale for Parameter-Efficient Prompt Tuning",
        url="https://arxiv.org/abs/2104.08691",
        theory=(
            "A discrete prompt of P tokens is one of V^P, found by trial, since no gradient leads from word to word. A "
            "soft prompt is P × H real numbers with a gradient; the embeddings of every discrete prompt are among its "
            "values, so on the train examples the best soft prompt is at least as good. The price: it cannot be read, "
            "needs examples, and fits one model alone. It changes no weight: it is P more columns to attend to, and "
            "in one layer it adds to what attention gives but cannot change how the text's tokens weigh each other "
            "(Petrov et al. 2024). So it calls up what the frozen model can do and teaches little that is new. "
            "A larger model can do more, and has more numbers per virtual token: with scale the gap to full "
            "fine-tuning closes, near 10 billion parameters in the paper, where length and initialization no longer "
            "matter much either (Lester et al. 2021)."
        ),
    )
    settings = PromptTuningSettings
    training_defaults = {"learning_rate": RATES["PROMPT_TUNING"].value}
    tunables = {
        "training.learning_rate": RATES["PROMPT_TUNING"].range,
        "num_virtual_tokens": Choices(values=(5, 10, 20, 50)),
    }

    def num_virtual_tokens(self, settings: PromptTuningSettings) -> int:
        """Return the length of the soft prompt."""
        return settings.num_virtual_tokens

    def build(
        self, base: PreTrainedModel, settings: PromptTuningSettings, tokenizer: PreTrainedTokenizerBase
    ) -> nn.Module:
        """Return the frozen base with a soft prompt."""
        return build_prompt_tuning(base, settings, tokenizer)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the soft prompt in peft's format."""
        cast("PromptTuningModel", model).save_pretrained(folder)

    def load(self, base: PreTrainedModel, folder: Path, settings: PromptTuningSettings) -> nn.Module:
        """Return the base with the saved soft prompt."""
        from hf_peft_compare.models.prompt_tuning import PromptTuningModel

        return PromptTuningModel.from_pretrained(base, folder)
