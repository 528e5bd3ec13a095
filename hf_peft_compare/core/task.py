"""One family of tasks: how its data becomes model input, and what is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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
