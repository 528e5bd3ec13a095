"""Where runs are done, by name; everything but `local` reads jobs from files that its machines see."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.settings import parse
from hf_peft_compare.orchestration.executors.command import CommandExecutor
from hf_peft_compare.orchestration.executors.executor import Executor, Launch
from hf_peft_compare.orchestration.executors.ray import RayExecutor
from hf_peft_compare.orchestration.executors.slurm import SlurmExecutor

LOCAL = "local"
DISTANT: Mapping[str, Any] = {kind.name: kind for kind in (SlurmExecutor, RayExecutor, CommandExecutor)}
FILE_VARIABLE = "HF_PEFT_COMPARE_EXECUTORS"
DEFAULT_FILE = Path("executors.yaml")


def check_executor(name: str, options: Mapping[str, object]) -> None:
    """Raise UserError for an executor that does not exist, or options that it does not take."""
    if name != LOCAL:
        _options_of(name, options)
    elif options:
        raise UserError(f"executor option {next(iter(options))!r}: local has none; {', '.join(DISTANT)} have.")


def make_executor(name: str, options: Mapping[str, object], launch: Launch) -> Executor:
    """Build a distant executor.

    Args:
        options: of the executor, which come before those in the user's file `executors.yaml`.

    Raises:
        UserError: an unknown executor or option, an invalid value, or what the executor needs is not installed.
    """
    executor: Executor = DISTANT[name](_options_of(name, options), launch)
    return executor


def _options_of(name: str, options: Mapping[str, object]) -> Any:
    if name not in DISTANT:
        raise unknown("executor", name, [LOCAL, *DISTANT])
    given = {key.replace("-", "_"): value for key, value in {**_from_file(name), **options}.items()}
    if "nodes" in given:
        raise UserError(
            "executor option 'nodes': a run has one node here. For one run over several, start `hf-peft-compare train` "
            "with torchrun or accelerate launch on each."
        )
    return parse(DISTANT[name].options, given, where=f"executor {name}", if_missing="")


def _from_file(name: str) -> Mapping[str, Any]:
    file = Path(os.environ.get(FILE_VARIABLE, DEFAULT_FILE))
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        if FILE_VARIABLE in os.environ:
            raise UserError(f"{FILE_VARIABLE} is {file}, which does not exist.") from None
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    of_name = found.get(name, {}) if isinstance(found, dict) else None
    if not isinstance(of_name, dict):
        raise UserError(f"{file}: expected {{executor: {{option: value}}}}.")
    return of_name
