"""`show`: describe one method, task, metric or study, with all of its settings."""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, NamedTuple

import yaml

from hf_peft_compare.cli.options import Commands, add_command, add_json, print_json
from hf_peft_compare.config.loading import list_studies, load_study
from hf_peft_compare.core.errors import OK, unknown
from hf_peft_compare.core.method import AnyMethod, Choices, Range, Rate, Value
from hf_peft_compare.core.metric import Metric, Score
from hf_peft_compare.core.registry import METHODS, METRICS, TASKS
from hf_peft_compare.core.settings import described
from hf_peft_compare.core.task import AnyTask

WIDTH = 110


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "show", show_command, "describe a method, task, metric or study, with its settings")
    parser.add_argument(
        "name", metavar="NAME", help="a name from `list methods`, `list tasks`, `list metrics` or `list`"
    )
    add_json(parser, "print JSON, a list: a name may be of several kinds")


def show_command(options: argparse.Namespace) -> int:
    """Print every entry with the name; raises UserError with the nearest known name if there is none."""
    kinds = _kinds()
    found = [(kind, kind.entries[options.name]) for kind in kinds if options.name in kind.entries]
    if not found:
        raise unknown("name", options.name, {name for kind in kinds for name in kind.entries})
    if options.json:
        print_json([kind.tree(entry) for kind, entry in found])
    else:
        print("\n\n".join("\n".join(kind.lines(entry)) for kind, entry in found))
    return OK


class Kind(NamedTuple):
    """What can be shown, by name, and what describes it: lines of text, or a tree for programs."""

    entries: Mapping[str, Any]
    lines: Callable[[Any], Iterator[str]]
    tree: Callable[[Any], dict[str, object]]


def _kinds() -> list[Kind]:
    return [
        Kind(METHODS.entries, _method, _method_tree),
        Kind(TASKS.entries, _task, _task_tree),
        Kind(METRICS.entries, _metric, _metric_tree),
        Kind({name: name for name in list_studies()}, _study, _study_tree),
    ]


def _method(method: AnyMethod) -> Iterator[str]:
    yield f"{method.name} (method): {method.title}"
    for name, text in asdict(method.card).items():
        if text:
            yield from _item(name.replace("_", " "), text)
    yield from _settings(method.settings)
    if method.training_defaults:
        yield "training defaults"
        yield from (f"    {name}: {value}" for name, value in method.training_defaults.items())
    if method.rates:
        yield "learning rates by its settings"
        yield from (f"    {settings}: {words_of_rate(rate)}" for settings, rate in method.rates.items())
    if method.tunables:
        yield "tuned over"
        yield from (f"    {name}: {words_of_space(space)}" for name, space in method.tunables.items())
    yield f"can be merged into a plain model: {'yes' if method.mergeable else 'no'}"


def _task(task: AnyTask) -> Iterator[str]:
    yield f"{task.name} (task): {task.title}"
    yield from _item("about", summary_of(type(task)))
    yield from _item("metrics", ", ".join(task.metrics))
    yield from _item("head", task.head)
    yield from _settings(task.settings)


def _metric(metric: Metric) -> Iterator[str]:
    yield f"{metric.name} (metric)"
    yield from _item("about", summary_of(type(metric)))
    yield "scores of each example, the ranking one first"
    yield from (line for score in metric.scores for line in _item(score.name, words_of_score(score)))
    if is_dataclass(metric):
        yield from _settings(type(metric))


def _study(name: str) -> Iterator[str]:
    config = load_study(name).config
    yield f"{name} (study): {config.title}"
    shown = {key: value for key, value in asdict(config).items() if key not in ("name", "title", "references")}
    yield yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=WIDTH).rstrip()


def _settings(settings: type[Any]) -> Iterator[str]:
    """Describe the fields of a dataclass of settings: type, default and meaning."""
    yield "settings"
    for setting in described(settings):
        default = "  (required)" if setting.required else f" = {setting.default!r}"
        yield f"    {setting.name}: {setting.kind}{default}"
        if setting.meaning:
            yield textwrap.fill(setting.meaning, WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)
    if not described(settings):
        yield "    none"
    if getattr(settings, "__pydantic_config__", {}).get("extra") == "allow":
        yield from _item("further settings", summary_of(settings))


def words_of_space(space: Range | Choices) -> str:
    """Return a range or choices in words."""
    if isinstance(space, Choices):
        return ", ".join(_value(value) for value in space.values)
    return f"{space.low:g} to {space.high:g}{' on a logarithmic scale' if space.log else ''}"


def words_of_rate(rate: Rate) -> str:
    """Return a default rate and the range it is tuned over in words."""
    return f"{rate.value:g}, tuned over {rate.range.low:g} to {rate.range.high:g}"


def _value(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)


def words_of_score(score: Score) -> str:
    """Return a score's title, unit, direction and note."""
    better = "greater is better" if score.greater_is_better else "smaller is better"
    return "; ".join(part for part in (f"{score.title} [{score.unit}]", better, score.note) if part)


def summary_of(kind: type) -> str:
    """Return the first paragraph of a class's docstring."""
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def _item(name: str, text: str) -> Iterator[str]:
    yield name
    yield textwrap.fill(text, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4)


def _settings_tree(settings: type[Any]) -> list[dict[str, object]]:
    return [asdict(setting) for setting in described(settings)]


def _method_tree(method: AnyMethod) -> dict[str, object]:
    return {
        "kind": "method",
        "name": method.name,
        "title": method.title,
        "card": asdict(method.card),
        "settings": _settings_tree(method.settings),
        "training_defaults": dict(method.training_defaults),
        "rates": {settings: asdict(rate) | asdict(rate.range) for settings, rate in method.rates.items()},
        "tunables": {name: asdict(space) for name, space in method.tunables.items()},
        "mergeable": method.mergeable,
    }


def _task_tree(task: AnyTask) -> dict[str, object]:
    return {
        "kind": "task",
        "name": task.name,
        "title": task.title,
        "metrics": list(task.metrics),
        "head": task.head,
        "settings": _settings_tree(task.settings),
    }


def _metric_tree(metric: Metric) -> dict[str, object]:
    return {
        "kind": "metric",
        "name": metric.name,
        "scores": [asdict(score) for score in metric.scores],
        "settings": _settings_tree(type(metric)) if is_dataclass(metric) else [],
    }


def _study_tree(name: str) -> dict[str, object]:
    return {"kind": "study", **asdict(load_study(name).config)}
