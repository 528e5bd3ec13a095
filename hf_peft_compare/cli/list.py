"""`list`: list the studies of the package, or the methods, tasks or metrics that a study may use."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TypeAlias

from hf_peft_compare.cli.options import Commands, add_command, add_json, print_json
from hf_peft_compare.config.grids import describe_rows
from hf_peft_compare.config.loading import list_studies
from hf_peft_compare.core.errors import OK
from hf_peft_compare.core.registry import METHODS, METRICS, TASKS

Entry: TypeAlias = dict[str, object]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "list", list_command, "list the studies, methods, tasks or metrics")
    parser.add_argument("what", nargs="?", choices=LISTED, default="studies", help="default: studies")
    add_json(parser)


def list_command(options: argparse.Namespace) -> int:
    """Print each entry with its title and contents."""
    entries = list(LISTED[options.what]())
    if options.json:
        print_json(entries)
        return OK
    for entry in entries:
        parts = "; ".join(f"{key}: {_in_words(value)}" for key, value in entry.items() if key not in ("name", "title"))
        print("\n    ".join(str(line) for line in (entry["name"], entry.get("title"), parts) if line is not None))
    return OK


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _studies() -> Iterator[Entry]:
    for name, study in list_studies().items():
        yield {"name": name, "title": study.title, "methods": describe_rows(study.methods), "seeds": study.seeds}


def _methods() -> Iterator[Entry]:
    for name, method in sorted(METHODS.entries.items()):
        yield {"name": name, "title": method.title, "trained": method.card.parameter_count}


def _tasks() -> Iterator[Entry]:
    for name, task in sorted(TASKS.entries.items()):
        yield {"name": name, "title": task.title, "metrics": list(task.metrics)}


def _metrics() -> Iterator[Entry]:
    for name, metric in sorted(METRICS.entries.items()):
        yield {"name": name, "scores": [score.title for score in metric.scores]}


LISTED = {"studies": _studies, "methods": _methods, "tasks": _tasks, "metrics": _metrics}
