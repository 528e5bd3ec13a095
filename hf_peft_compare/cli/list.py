"""`list`: the studies of the package."""

from __future__ import annotations

import argparse

from hf_peft_compare.cli.options import Commands, add_command
from hf_peft_compare.config.grids import say_rows
from hf_peft_compare.config.loading import list_studies
from hf_peft_compare.core.errors import OK


def add(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, "list", list_command, "list the studies of the package")


def list_command(options: argparse.Namespace) -> int:
    """Print every study with its title and methods."""
    for name, study in list_studies().items():
        methods, seeds = ", ".join(say_rows(study.methods)), ", ".join(map(str, study.seeds))
        print(f"{name}\n    {study.title}\n    methods: {methods}; seeds: {seeds}")
    return OK
