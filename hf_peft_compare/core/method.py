"""A method: one way to adapt a model, its requirements, and the description that reports show."""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic import PlainValidator, TypeAdapter
from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import AnyTask, Example, Format
from hf_peft_compare.core.training_rule import TrainingRule

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_peft_compare.config.schema import RunConfig
    from hf_peft_compare.data.splits import Examples

S = TypeVar("S")  # the dataclass of a method's settings

# A value of a setting, as YAML represents it.
Value: TypeAlias = "str | int | float | bool | None | list[Value] | dict[str, Value]"


@dataclass(frozen=True, kw_only=True)
class Card:
    """The description of a method in reports: plain text, LaTeX mathematics in `formula`.

    Args:
        idea: one or two sentences.
        formula: what is computed, in LaTeX without dollar signs.
        parameter_count: the number of trained parameters, in words and symbols.
        when_to_use: advice and the trade-off.
        paper: citation as "Authors (year), title".
        url: the address of the paper.
        theory: why it works and what its limits are, in a few sentences with references; may be empty.
    """

    idea: str
    formula: str
    parameter_count: str
    when_to_use: str
    paper: str
    url: str
    theory: str = ""


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class Range:
    """The range a numeric setting is tuned over.

    Args:
        low, high: its bounds.
        log: sample uniformly on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = True

    def place(self, value: float) -> float:
        """Return the position of a value between the bounds, on the range's scale: 0 at the lower, 1 at the upper."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def holds(self, value: object) -> bool:
        """Whether a value lies within the bounds."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The values a setting is tuned over."""

    values: Sequence[Value]

    def holds(self, value: object) -> bool:
        """Whether a value is one of the choices."""
        return value in self.values


@dataclass(frozen=True)
class Rate:
    """A default learning rate.

    Args:
        value: the rate.
        source: who found it good, and where.
    """

    value: float
    source: str

    @property
    def range(self) -> Range:
        """The rates that are searched: three orders of magnitude, the default in their middle, in round numbers."""
        return Range(low=_rounded(self.value / SPAN), high=_rounded(self.value * SPAN))


SPAN = 10**1.5  # from a default rate to either end of the range that is searched


def _rounded(rate: float) -> float:
    """Return the nearest rate of 1, 2, 3 or 5 times a power of ten."""
    power = math.floor(math.log10(rate))
    nearby = [float(f"{digit}e{power}") for digit in (1, 2, 3, 5, 10)]
    return min(nearby, key=lambda candidate: abs(math.log(candidate / rate)))


def _searched(value: object) -> Range | Choices:
    """Return a range or choices as a study has them; raise ValueError for anything else."""
    if isinstance(value, list) and value:
        return Choices(values=value)
    with contextlib.suppress(ValueError):
        found = TypeAdapter(Range).validate_python(value)
        if (0 if found.log else -math.inf) < found.low < found.high:
            return found
    raise ValueError("expected a list of values, or {low: 1e-5, high: 1e-2}, low below high; above 0 unless log: false")


RangeOrChoices = Annotated[Any, PlainValidator(_searched)]  # pydantic cannot read the recursive type of choices


class Method(ABC, Generic[S]):
    """One way to adapt a model. Subclasses in the files of `hf_peft_compare/methods/` are registered by name.

    A method that trains defines `build`, `save` and `load`; `PromptingMethod` and `Floor` are for methods that do
    not train.

    Attributes:
        name: the key used in studies.
        title: the name in tables.
        card: the method's card in reports.
        settings: frozen dataclass of the settings that a row of a study may set.
        trains: whether parameters are trained.
        uses_model: whether a model is loaded at all.
        mergeable: whether `merge` may convert the result into a plain transformers model.
        reads_train: whether prediction needs the train examples, in addition to the trained parameters.
        training_defaults: default training settings of this method, which the study's settings override. Where its
            own settings decide the learning rate, `rate` gives it, and the range to search.
        rates: {settings, as a row has them: the learning rate that they decide}, for its description.
        tunables: {setting: its range or choices} to tune over, the learning rate first; a training setting is named
            `training.…`.
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
    rates: ClassVar[Mapping[str, Rate]] = {}
    tunables: ClassVar[Mapping[str, Range | Choices]] = {}

    @abstractmethod
    def build(self, base: PreTrainedModel, settings: S, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the adapted model, whose trainable parameters require gradients.

        This must also work on the meta device, where a study is checked before it runs. Raise UserError if the
        settings or the base model are not supported.
        """

    @abstractmethod
    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the trained parameters in a standard format (safetensors, or peft's)."""

    @abstractmethod
    def load(self, base: PreTrainedModel, folder: Path, settings: S) -> nn.Module:
        """Return the adapted model, loaded from the files that `save` wrote."""

    def merge(self, model: nn.Module) -> PreTrainedModel:
        """Return a plain transformers model with the same outputs; raise UserError if the method cannot be merged."""
        raise UserError(f"{self.title} cannot be merged into a plain model; export it without --merge.")

    def num_virtual_tokens(self, settings: S) -> int:
        """Return the number of virtual tokens, which take up positions of the context."""
        return 0

    def quantization(self, settings: S) -> dict[str, Value] | None:
        """Return the fields of the base model's quantization config; None: the base is loaded in float32."""
        return None

    def head(self, settings: S) -> str | None:
        """Return the head the method needs, a key of `models.heads.HEADS`; None: the task's head."""
        return None

    def format(
        self, settings: S, task: AnyTask, task_settings: object, train: Sequence[Example], seed: int
    ) -> Format | None:
        """Return how examples become model input; None: the task's format."""
        return None

    def training_rule(self, settings: S) -> TrainingRule | None:
        """Return what training needs beside the gradients of the loss; None: nothing."""
        return None

    def other_models(self, settings: S) -> Sequence[str]:
        """Return the hub ids or folders of models that the method loads in addition to the base."""
        return ()

    def files(self, settings: S) -> Sequence[str]:
        """Return the files that the method reads in addition to models; a run is done again when one has changed."""
        return ()

    @property
    def has_format(self) -> bool:
        """Whether the method defines its own format."""
        return type(self).format is not Method.format

    def variant(self, settings: S) -> tuple[str, Card] | None:
        """Return the title and card of the variant that the settings choose; None: the method's own."""
        return None

    def rate(self, settings: Mapping[str, object]) -> Rate | None:
        """Return the default learning rate where the settings decide it; None: that of `training_defaults`.

        Args:
            settings: as a study has them, not yet checked: what they decide is part of what is checked.
        """
        return None

    def defaults_with(self, settings: Mapping[str, object]) -> Mapping[str, Value]:
        """Return the default training settings of the method with these settings, as `rate` takes them."""
        rate = self.rate(settings)
        return self.training_defaults if rate is None else {**self.training_defaults, "learning_rate": rate.value}

    def tunables_with(self, settings: Mapping[str, object]) -> Mapping[str, Range | Choices]:
        """Return what is tuned of the method with these settings, as `rate` takes them."""
        rate = self.rate(settings)
        return self.tunables if rate is None else {**self.tunables, "training.learning_rate": rate.range}

    def describe(self, settings: S) -> dict[str, str]:
        """Return the title and card of the method with these settings."""
        title, card = self.variant(settings) or (self.title, self.card)
        return {"title": title, **asdict(card)}


class PromptingMethod(Method[S]):
    """A method that prompts the unchanged base model and trains nothing."""

    trains = False

    def build(self, base: PreTrainedModel, settings: S, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """Return the frozen base."""
        return base.requires_grad_(False)

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write nothing, since nothing is trained."""

    def load(self, base: PreTrainedModel, folder: Path, settings: S) -> nn.Module:
        """Return the base."""
        return base


class Floor(PromptingMethod[S]):
    """A baseline without a model, which every other method should beat; it uses source texts or the train examples."""

    uses_model = False

    @abstractmethod
    def predictor(self, settings: S, train: Sequence[Example]) -> Callable[[str], str]:
        """Return a function from a source text to its prediction."""

    def answers(self, config: RunConfig, examples: Examples) -> list[str]:
        """Return the prediction for each test example of a run."""
        answer = self.predictor(config.method_settings, examples["train"])
        return [answer(example.source) for example in examples["test"]]


AnyMethod: TypeAlias = "Method[Any]"  # with any settings
