"""Few-shot and one-shot prompting: solved examples before the question, without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.method import Card, PromptingMethod
from hf_peft_compare.core.settings import STRICT, PositiveInt
from hf_peft_compare.core.task import AnyTask, Example, Format
from hf_peft_compare.methods.hard_prompt import ShotsSettings, format_with_shots

S = TypeVar("S", bound=ShotsSettings)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FewShotSettings(ShotsSettings):
    """Settings of few-shot prompting: those of all prompts with solved examples."""

    shots: PositiveInt | Annotated[list[dict[str, Any]], Field(min_length=1)] = 4


class ShotsMethod(PromptingMethod[S]):
    """A method that prompts the base model with solved examples before the question."""

    reads_train = True

    def head(self, settings: S) -> str:
        """Return the LM head."""
        return "causal_lm"

    def format(self, settings: S, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int) -> Format:
        """Return the format with solved examples in the prompt; raise UserError as `format_with_shots` does."""
        return format_with_shots(settings, task, task_settings, train, seed)


class FewShot(ShotsMethod[FewShotSettings]):
    """Prompt the base model with solved examples before the question."""

    name = "few_shot"
    title = "Few-shot"
    card = Card(
        idea=(
            "Solved examples stand before the question, and the model goes on in their manner: it learns within its "
            "context, for one question, and no weight changes."
        ),
        formula=r"p_\theta(y \mid x_1, y_1, \dots, x_k, y_k, x), \quad \theta \text{ as pretrained}",
        parameter_count="0",
        when_to_use=(
            "With a large model and too few examples to train on. Every question pays for the tokens of all examples "
            "again, so over many questions a trained method soon costs less; results hang on which examples are "
            "shown and in which order."
        ),
        paper="Brown et al. (2020), Language Models are Few-Shot Learners",
        url="https://arxiv.org/abs/2005.14165",
        theory=(
            "In-context learning changes no parameter: solved examples stand in the input, and the next token is "
            "predicted as in pretraining. It appears with scale (Brown et al. 2020). What the examples tell is "
            "above all the format, the set of labels and the kind of text: with random labels much of the gain is "
            "left (Min et al. 2022), less so in large models, which follow even flipped labels (Wei et al. 2023). "
            "Choice and order of the examples move the accuracy by tens of points (Lu et al. 2022), and answers "
            "lean to frequent and to recent labels (Zhao et al. 2021), so drawn examples have even classes here, "
            "and another draw for each seed."
        ),
    )
    settings = FewShotSettings


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OneShotSettings(ShotsSettings):
    """Settings of one-shot prompting.

    Args:
        shots: 1: the example is drawn from train with the run's seed; or a list of one solved example.
    """

    shots: Literal[1] | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1)] = 1


class OneShot(ShotsMethod[OneShotSettings]):
    """Prompt the base model with one solved example before the question."""

    name = "one_shot"
    title = "One-shot"
    card = Card(
        idea=(
            "One solved example stands before the question. It shows the form of an answer more than the task itself: "
            "a model that rambled without it now answers with one of the words that were asked for."
        ),
        formula=r"p_\theta(y \mid x_1, y_1, x), \quad \theta \text{ as pretrained}",
        parameter_count="0",
        when_to_use=(
            "When zero-shot answers cannot be read. Each question costs the tokens of the example too, and which "
            "example it is can matter much: run several seeds."
        ),
        paper="Brown et al. (2020), Language Models are Few-Shot Learners",
        url="https://arxiv.org/abs/2005.14165",
        theory=(
            "One example shows format, words of the labels and kind of text, which is most of what examples tell (Min "
            "et al. 2022), but not more than one label, towards which answers then lean (Zhao et al. 2021). In the "
            "paper one example is usually between none and many, and the gain grows with the model (Brown et al. "
            "2020); a single one can also be worse than none."
        ),
    )
    settings = OneShotSettings
