"""Options shared by several commands, and the folders they refer to."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.remote_runs import fetch_results, fetch_run
from hf_peft_compare.records.run_folder import RECORD_FILE
from hf_peft_compare.utils.json_text import json_text
from hf_peft_compare.utils.remote_folder import local_folder, local_name, shown

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands, name: str, function: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add a command whose function takes the parsed options and returns the exit status."""
    hidden = text is argparse.SUPPRESS
    parser = commands.add_parser(name) if hidden else commands.add_parser(name, help=text, description=text)
    parser.set_defaults(function=function)
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module with methods, tasks, metrics, trackers or sections of your own; repeatable",
    )
    return parser


def add_study(parser: argparse.ArgumentParser, meaning: str = "a name from `list`, or a YAML file") -> None:
    """Add the options for the study, its overrides and the output directory."""
    parser.add_argument("study", metavar="STUDY", type=local_name, help=meaning)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting; repeatable"
    )
    add_output_dir(parser)


def add_json(parser: argparse.ArgumentParser, meaning: str = "print JSON") -> None:
    """Add the option for output that programs read: JSON alone on the standard output."""
    parser.add_argument("--json", action="store_true", help=meaning)


def print_json(content: object) -> None:
    """Print a tree as JSON; what is not finite or no JSON is null or text."""
    print(json_text(content))


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Add the option to select rows of a study."""
    parser.add_argument("--method", action="append", default=[], metavar="ROW", help="only this row; repeatable")


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets models run code of their own."""
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run the code of a model whose class transformers does not have; read it before, it can do anything",
    )


def add_run(parser: argparse.ArgumentParser, *, nargs: str | None = None) -> None:
    """Add the options for a finished run, the output directory, and code of models."""
    parser.add_argument("run", metavar="RUN", type=local_name, nargs=nargs, help="study/row-seed0, or the run's folder")
    add_output_dir(parser)
    add_trust(parser)


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where runs are done."""
    parser.add_argument(
        "--executor", default="local", metavar="NAME", help="where runs are done: local, slurm, ray or command"
    )
    parser.add_argument(
        "--executor-option",
        action="append",
        default=[],
        type=key_and_value,
        metavar="KEY=VALUE",
        help="an option of the executor, such as partition=gpu; repeatable",
    )


def key_and_value(text: str) -> tuple[str, str]:
    """Parse KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def add_output_dir(parser: argparse.ArgumentParser) -> None:
    """Add the option for the output directory."""
    parser.add_argument(
        "--output-dir",
        type=local_folder,
        default=Path("runs"),
        metavar="FOLDER",
        help="output directory, or a URL such as s3://bucket/runs",
    )


def positive(text: str) -> int:
    """Parse a positive whole number."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def number(text: str) -> float:
    """Parse a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return value


def above_zero(text: str) -> float:
    """Parse a finite number above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def run_folder(run: str, output_dir: Path) -> Path:
    """Return the folder of a run, given `study/row-seed0` or the folder itself."""
    for folder in (output_dir / run, Path(run)):
        fetch_run(folder)
        if folder.is_dir():
            return folder
    places = f"neither {shown(output_dir / run)} nor {shown(Path(run))} is a folder"
    raise UserError(f"no run {run!r}: {places}; pass study/row-seed0 or a path.")


def study_folder(study: str, output_dir: Path) -> Path:
    """Return the folder of a study's runs, given the study's name, its file, the folder itself, or that of a report."""
    if study.endswith((".yaml", ".yml")):
        study = load_study(study).config.name
    for folder in (output_dir / study, Path(study), Path(study) / "records"):
        fetch_results(folder)
        if folder.is_dir() and any(folder.glob(f"*/{RECORD_FILE}")):
            return folder
    places = f"{shown(output_dir / study)} or {shown(Path(study))}"
    raise UserError(f"no records in {places}; pass a study that has run, or the folder of its runs or of its report.")
