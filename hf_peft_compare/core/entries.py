"""What an entry is: a method, a task or a metric is one file that defines one of these.

Entries are read on both sides of the wall, so their files import neither torch nor transformers at module level;
builders import what they need when called.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from hf_peft_compare.errors import unknown


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


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number per example: its key in records, its title in tables, its unit, its direction, how it is read."""

    name: str
    title: str
    unit: str
    greater_is_better: bool
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Scores of predictions against references.

    Args:
        name: the key used in studies.
        scores: every score that `compute` returns; the first is the one a ranking uses.
        compute: `compute(predictions, references) -> {score name: [one float per example]}`.
    """

    name: str
    scores: Sequence[Score]
    compute: Callable[[Sequence[str], Sequence[str]], dict[str, list[float]]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One family of tasks: how its data becomes model input, and what is scored.

    Args:
        name: the key used in studies.
        title: the name in reports.
        settings: frozen dataclass of the settings under `task:` in a study.
        metrics: names of the metrics that score it, the ranking one first.
        head: the head on top of the base, a name of `heads.HEADS`.
        examples: `examples(dataset, settings) -> [Example]`, the texts of a split; raises UserError for bad rows.
        format: `format(settings) -> Format`, how examples become model input.
        text_columns: `text_columns(settings) -> [column]` of source and, for pairs, its pair.
        label_column: `label_column(settings) -> column` by whose values splits can be balanced; None: it has none.
        labels: `labels(settings) -> [label]` that there are; None: any text may be right.
        check: `check(examples by split, settings)` raises UserError for what no split alone tells.
        load: `load(config) -> {split name: dataset}`, where a data set is more than a table; None: as any other.
        complete: `complete(settings, train) -> settings` with what the train examples tell, such as the classes.
    """

    name: str
    title: str
    settings: type
    metrics: Sequence[str]
    head: str
    examples: Callable[..., list[Example]]
    format: Callable[[Any], Format]
    text_columns: Callable[[Any], Sequence[str]]
    label_column: Callable[[Any], str] | None = None
    labels: Callable[[Any], Sequence[str]] | None = None
    check: Callable[[Mapping[str, Sequence[Example]], Any], None] = lambda examples, settings: None
    load: Callable[[Any], Mapping[str, Any]] | None = None
    complete: Callable[[Any, Sequence[Example]], Any] = lambda settings, train: settings


@dataclass(frozen=True, kw_only=True)
class Format:
    """How examples become model input, and model output a prediction.

    Args:
        key: JSON of all that decides it, beside the code.
        encode: `encode(example, tokenizer, max_length) -> row`: input_ids, and what is to be predicted from them:
            num_completion_tokens at their right end, or the class `label`.
        encode_prompt: `encode_prompt(example, tokenizer, max_length) -> input_ids` of what is read before a text is
            generated; None: nothing is generated.
        read: `read(text) -> prediction`, what a generated text is taken for; None: as it is.
        candidates: the references of which the likeliest is the prediction, in place of a generated text.
        labels: the names of the classes, where the examples tell them; empty: the task's.
        metrics: names of further metrics of outputs of this form.
        prompt: `prompt(example)`, the text before the part that may be cut, that part, and the text after it; None:
            no prompt is read.
        completion: `completion(example)`, what is written after the prompt.
    """

    key: Any
    encode: Callable[..., dict[str, Any]]
    encode_prompt: Callable[..., list[int]] | None = None
    read: Callable[[str], str] | None = None
    candidates: Sequence[str] = ()
    labels: Sequence[str] = ()
    metrics: Sequence[str] = ()
    prompt: Callable[[Example], tuple[str, str, str]] | None = None
    completion: Callable[[Example], str] | None = None


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example as text: what the model reads, one text or two, and what it should write or which class it is.

    Args:
        source_pair: the second text, or the path of the image that the text is about.
        group: the kind of example it is, by which scores are shown apart.
    """

    id: str
    source: str
    reference: str
    source_pair: str | None = None
    group: str | None = None


@cache
def discover(package: str, kind: Any) -> dict[str, Any]:
    """Collect the entries of one kind from the files of a package, by name.

    Args:
        package: a room such as "hf_peft_compare.methods".
        kind: Method, Task or Metric.
    """
    room = importlib.import_module(package)
    found = {}
    for module in pkgutil.iter_modules(room.__path__):
        for value in vars(importlib.import_module(f"{package}.{module.name}")).values():
            if isinstance(value, kind):
                found[value.name] = value
    return found


def get_method(name: str) -> Method:
    """Give the method of a name; raises UserError that names the nearest known one."""
    return _get("hf_peft_compare.methods", Method, "method", name)


def get_task(name: str) -> Task:
    """Give the task of a name; raises UserError that names the nearest known one."""
    return _get("hf_peft_compare.tasks", Task, "task", name)


def get_metric(name: str) -> Metric:
    """Give the metric of a name; raises UserError that names the nearest known one."""
    return _get("hf_peft_compare.metrics", Metric, "metric", name)


def _get(package: str, kind: Any, what: str, name: str) -> Any:
    found = discover(package, kind)
    if not isinstance(name, str) or name not in found:
        raise unknown(what, str(name), found)
    return found[name]
