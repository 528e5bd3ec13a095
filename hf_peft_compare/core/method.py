"""One way to adapt a model: what it needs, and what a reader should know of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hf_peft_compare.core.task import Example, Format


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a reader should know of a method; plain text, LaTeX mathematics in `formula`.

    Args:
        idea: one or two sentences.
        formula: what is computed, in LaTeX without dollar signs.
        parameter_count: how many parameters are trained, in words and symbols.
        when_to_use: advice, and the trade-off.
        paper: citation as "Authors (year), title".
        url: where the paper stands.
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
        """Give where a value lies between the bounds, on the range's own scale: 0 at the low one, 1 at the high one."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def holds(self, value: Any) -> bool:
        """Whether a value lies within the bounds."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Values that a setting may be tuned over."""

    values: Sequence[Any]

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in self.values


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to adapt a model.

    Args:
        name: the key used in studies.
        title: the name in tables.
        card: the method's card in reports.
        variant: `variant(settings) -> (title, card) | None`, those of a kind of the method that the settings choose.
        settings: frozen dataclass of the settings that a study's row may set.
        build: `build(base, settings, tokenizer) -> model` whose trainable parameters require gradients; None where
            nothing is built and the base is used as it is. Works on the meta device too, where a study is checked
            before it runs; what the settings and the base do not allow raises UserError.
        save: `save(model, folder)` writes the tuned parameters in the field's own format; None: nothing to save.
        load: `load(base, folder, settings) -> model`, the inverse of `save`.
        merge: `merge(model) -> plain transformers model` of equal outputs; None where the method cannot be merged.
        predict: `predict(settings, train) -> (source -> str)` for floors that read the train examples and a source text
            alone; no model is loaded.
        training_defaults: training settings of this method, below those of the study; empty: nothing is trained.
        tunables: {setting: its range or choices}, what tuning varies, the learning rate first; a training setting is
            named `training.…`.
        num_virtual_tokens: `num_virtual_tokens(settings) -> int`, positions of the context that the method takes.
        quantization: `quantization(settings) -> {field: value}` of the quantization config that the base is loaded
            with by bitsandbytes; None: it is loaded in float32.
        head: `head(settings) -> str | None`, the head that the method needs whatever its task has.
        reads_train: whether `predict` or `format` take from the train examples; else they may be given none.
        format: `format(settings, task, task_settings, train, seed) -> Format | None` for methods that say what the
            model reads; None: as the task says.
    """

    name: str
    title: str
    card: Card
    settings: type
    build: Callable[..., Any] | None = None
    save: Callable[..., None] | None = None
    load: Callable[..., Any] | None = None
    merge: Callable[..., Any] | None = None
    predict: Callable[[Any, Sequence[Example]], Callable[[str], str]] | None = None
    training_defaults: Mapping[str, Any] = field(default_factory=dict)
    tunables: Mapping[str, Range | Choices] = field(default_factory=dict)
    num_virtual_tokens: Callable[[Any], int] = lambda settings: 0
    reads_train: bool = False
    quantization: Callable[[Any], dict[str, Any] | None] = lambda settings: None
    head: Callable[[Any], str | None] = lambda settings: None
    format: Callable[..., Format | None] | None = None
    variant: Callable[[Any], tuple[str, Card] | None] = lambda settings: None

    def describe(self, settings: Any) -> dict[str, str]:
        """Give title and card of the method with these settings."""
        title, card = self.variant(settings) or (self.title, self.card)
        return {"title": title, **asdict(card)}

    @property
    def trains(self) -> bool:
        """Whether the method has anything to train."""
        return self.build is not None
