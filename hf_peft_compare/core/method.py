"""A method: one way to adapt a model, what it needs, and what a reader should know of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import AnyTask, Example, Format

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

S = TypeVar("S")  # the dataclass of a method's settings

# A value of a setting, as YAML has it.
Value: TypeAlias = "str | int | float | bool | None | list[Value] | dict[str, Value]"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a reader should know of a method; plain text, LaTeX mathematics in `formula`.

    Args:
        idea: one or two sentences.
        formula: what is computed, in LaTeX without dollar signs.
        parameter_count: how many parameters are trained, in words and symbols.
        when_to_use: advice, and the trade-off.
        paper: citation as "Authors (year), title".
        url: the address of the paper.
        theory: why it works and where it ends, in a few sentences with references; may be empty.
    """

    idea: str
    formula: str
    parameter_count: str
    when_to_use: str
    paper: str
    url: str
    theory: str = ""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers that a setting may be tuned over, drawn evenly on a logarithmic scale unless `log` is false."""

    low: float
    high: float
    log: bool = True

    def place(self, value: float) -> float:
        """Return where a value lies between the bounds, on the range's scale: 0 at the low one, 1 at the high."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def holds(self, value: object) -> bool:
        """Whether a value lies within the bounds."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Values that a setting may be tuned over."""

    values: Sequence[Value]

    def holds(self, value: object) -> bool:
        """Whether a value is one of them."""
        return value in self.values


class Method(ABC, Generic[S]):
    """One way to adapt a model. A subclass in a file of `hf_peft_compare/methods/` is found by its name.

    A method that trains defines `build`, `save` and `load`; `PromptingMethod` and `Floor` are those that do not.

    Attributes:
        name: the key used in studies.
        title: the name in tables.
        card: the method's card in reports.
        settings: frozen dataclass of the settings that a study's row may set.
        trains: whether parameters are trained.
        uses_model: whether a model is loaded at all.
        mergeable: whether `merge` may turn the result into a plain transformers model.
        reads_train: whether predictions need the train examples, beside what was trained.
        training_defaults: training settings of this method, below those of the study.
        tunables: {setting: its range or choices}, what tuning varies, the learning rate first; a training setting is
            named `training.…`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    card: ClassVar[Card]
    settings: type[S]
    trains: ClassVar[bool] = True
    uses_model: ClassVar[bool] = True
    mergeable: ClassVar[bool] = False
    reads_train: ClassVar[bool] = False
    training_defaults: ClassVar[Mapping[str, Value]] = {}
    tunables: ClassVar[Mapping[str, Range | Choices]] = {}

    @abstractmethod
    def build(self, base: PreTrainedModel, settings: S, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the adapted model, whose trainable parameters require gradients.

        It works on the meta device too, where a study is checked before it runs. Raises UserError for what the
        settings and the base do not allow.
        """

    @abstractmethod
    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the tuned parameters in the field's own format."""

    @abstractmethod
    def load(self, base: PreTrainedModel, folder: Path, settings: S) -> nn.Module:
        """Return the adapted model from what `save` wrote."""

    def merge(self, model: nn.Module) -> PreTrainedModel:
        """Return a plain transformers model of equal outputs; raises UserError where there is none."""
        raise UserError(f"{self.title} cannot be merged into a plain model; export it without --merge.")

    def num_virtual_tokens(self, settings: S) -> int:
        """Return how many positions of the context the method takes."""
        return 0

    def quantization(self, settings: S) -> dict[str, Value] | None:
        """Return fields of the quantization config that the base is loaded with; None: it is loaded in float32."""
        return None

    def head(self, settings: S) -> str | None:
        """Return the head that the method needs, a name of `models.heads.HEADS`; None: the task's."""
        return None

    def format(
        self, settings: S, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
    ) -> Format | None:
        """Return how examples become model input; None: as the task has it."""
        return None

    def other_models(self, settings: S) -> Sequence[str]:
        """Return the hub ids or folders of models that the method loads beside the base."""
        return ()

    @property
    def has_format(self) -> bool:
        """Whether the method may have a format of its own."""
        return type(self).format is not Method.format

    def variant(self, settings: S) -> tuple[str, Card] | None:
        """Return title and card of the kind of the method that the settings choose; None: its own."""
        return None

    def describe(self, settings: S) -> dict[str, str]:
        """Return title and card of the method with these settings."""
        title, card = self.variant(settings) or (self.title, self.card)
        return {"title": title, **asdict(card)}


class PromptingMethod(Method[S]):
    """A method that asks the untouched base and trains nothing."""

    trains = False

    def build(self, base: PreTrainedModel, settings: S, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the base, frozen."""
        return base.requires_grad_(False)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write nothing: nothing was tuned."""

    def load(self, base: PreTrainedModel, folder: Path, settings: S) -> nn.Module:
        """Return the base."""
        return base


class Floor(PromptingMethod[S]):
    """A method without a model, which no other should fall under: it reads source texts, or the train examples."""

    uses_model = False

    @abstractmethod
    def predictor(self, settings: S, train: Sequence[Example]) -> Callable[[str], str]:
        """Return a function from a source text to its prediction."""


AnyMethod: TypeAlias = "Method[Any]"  # of whatever settings
