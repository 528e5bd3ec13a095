"""`list`: list the studies of the package, or the methods, tasks or metrics that a study may use."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from hf_peft_compare.cli.options import Commands, add_command
from hf_peft_compare.config.grids import describe_rows
from hf_peft_compare.config.loading import list_studies
from hf_peft_compare.core.errors import OK
from hf_peft_compare.core.registry import METHODS, METRICS, TASKS


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "list", list_command, "list the studies, methods, tasks or metrics")
    parser.add_argument("what", nargs="?", choices=LISTED, default="studies", help="default: studies")


def list_command(options: argparse.Namespace) -> int:
    """Print each entry with its title and contents."""
    for line in LISTED[options.what]():
        print(line)
    return OK


def _studies() -> Iterator[str]:
    for name, study in list_studies().items():
        methods, seeds = ", ".join(describe_rows(study.methods)), ", ".join(map(str, study.seeds))
        yield f"{name}\n    {study.title}\n    methods: {methods}; seeds: {seeds}"


def _methods() -> Iterator[str]:
    for name, method in sorted(METHODS.entries.items()):
        yield f"{name}\n    {method.title}\n    trained: {method.card.parameter_count}"


def _tasks() -> Iterator[str]:
    for name, task in sorted(TASKS.entries.items()):
        yield f"{name}\n    {task.title}\n    metrics: {', '.join(task.metrics)}"


def _metrics() -> Iterator[str]:
    for name, metric in sorted(METRICS.entries.items()):
        yield f"{name}\n    scores: {', '.join(score.title for score in metric.scores)}"


LISTED = {"studies": _studies, "methods": _methods, "tasks": _tasks, "metrics": _metrics}
