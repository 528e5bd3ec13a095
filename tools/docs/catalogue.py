"""The methods, tasks, metrics and studies that the package has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass

from hf_peft_compare.cli.show import summary_of, words_of_rate, words_of_score, words_of_space
from hf_peft_compare.config.grids import describe_rows
from hf_peft_compare.config.loading import list_studies
from hf_peft_compare.core.method import AnyMethod, Card
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.registry import METHODS, METRICS, TASKS
from hf_peft_compare.core.task import AnyTask
from hf_peft_compare.methods.lora_cards import VARIANTS
from hf_peft_compare.methods.peft_cards import CARDS
from hf_peft_compare.report.formulas import formula_markdown
from hf_peft_compare.utils.markdown import table
from tools.docs.markdown import code, prose
from tools.docs.settings import keys_of


def method_cards() -> str:
    """Describe every method."""
    return _joined(_method(method) for _, method in sorted(METHODS.entries.items()))


def peft_cards() -> str:
    """Describe the variants of LoRA and the peft types that have a card of their own."""
    cards = {**VARIANTS, **dict(sorted(CARDS.items()))}
    return _joined([f"### `{name}`: {title}", *_card(card), *_rate(name)] for name, (title, card) in cards.items())


def task_cards() -> str:
    """Describe every task."""
    return _joined(_task(task) for _, task in sorted(TASKS.entries.items()))


def metric_table() -> str:
    """List every score of every metric."""
    rows = [
        (code(metric.name), code(score.name), prose(words_of_score(score)))
        for metric in _metrics()
        for score in metric.scores
    ]
    return table(("metric", "score of each example", "how to read it"), rows)


def metric_settings() -> str:
    """Describe the settings of the metrics that have any."""
    return _joined(keys_of(type(m), prefix=f"{m.name}.", titled=f"{m.name}.") for m in _metrics() if is_dataclass(m))


def study_table() -> str:
    """List the studies of the package."""
    rows = [
        (code(name), prose(study.title), ", ".join(map(code, describe_rows(study.methods))), str(len(study.seeds)))
        for name, study in list_studies().items()
    ]
    return table(("study", "what it is", "rows", "seeds"), rows)


def _joined(entries: Iterable[Iterable[str]]) -> str:
    return "\n\n".join(part for entry in entries for part in entry)


def _metrics() -> list[Metric]:
    return [metric for _, metric in sorted(METRICS.entries.items())]


def _method(method: AnyMethod) -> Iterator[str]:
    yield f"## `{method.name}`: {method.title}"
    yield from _card(method.card)
    if method.trains:
        defaults = ", ".join(f"{code(name)} {value}" for name, value in method.training_defaults.items())
        yield f"**Training default**: {defaults or 'those of the study'}"
        tuned = "; ".join(f"{code(key)} {prose(words_of_space(space))}" for key, space in method.tunables.items())
        yield f"**Tuned over**: {tuned or 'nothing unless the study says so'}"
    yield f"**Merges into a plain model**: {'yes' if method.mergeable else 'no'}"
    yield "**Settings**"
    yield from keys_of(method.settings, prefix=f"{method.name}.")
    extra = getattr(method.settings, "__pydantic_config__", {}).get("extra") == "allow"
    if extra:
        yield prose(summary_of(method.settings))
    elif not method.settings.__dataclass_fields__:
        yield "None."


def _card(card: Card) -> Iterator[str]:
    yield prose(card.idea)
    yield formula_markdown(card.formula)
    yield f"**Trained parameters**: {prose(card.parameter_count)}"
    yield f"**When to use it**: {prose(card.when_to_use)}"
    if card.theory:
        yield f"**Theory**: {prose(card.theory)}"
    yield f"**Paper**: [{prose(card.paper)}]({card.url})"


def _rate(settings: str) -> Iterator[str]:
    rates = METHODS.entries["peft"].rates
    if (rate := rates.get(settings) or rates.get(f"{{peft_type: {settings}}}")) is not None:
        yield f"**Learning rate**: {prose(words_of_rate(rate))} ({prose(rate.source)})"


def _task(task: AnyTask) -> Iterator[str]:
    yield f"## `{task.name}`: {task.title}"
    yield f"{prose(summary_of(type(task)))} Head: {code(task.head)}. Metrics: {', '.join(map(code, task.metrics))}."
    yield from keys_of(task.settings, prefix=f"{task.name}.")
