"""The commands and their options, from the parser that reads them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from hf_peft_compare.cli.main import make_parser
from hf_peft_compare.report.escaping import fenced
from hf_peft_compare.utils.markdown import table
from tools.docs.markdown import code, prose


def command_line() -> str:
    """Describe every command that `--help` shows."""
    return "\n\n".join(part for name, parser in commands() for part in _command(name, parser))


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the commands that are not hidden."""
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from ((shown.dest, action.choices[shown.dest]) for shown in action._choices_actions)


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## `{name}`"
    yield f"{prose((parser.description or name).capitalize())}."
    yield fenced(parser.format_usage().removeprefix("usage: ").strip())
    rows = [(code(_name(action)), prose(_meaning(action))) for action in parser._actions if action.dest != "help"]
    yield table(("argument", "meaning"), rows)


def _name(action: argparse.Action) -> str:
    words = [", ".join(action.option_strings) or str(action.metavar or action.dest)]
    if action.option_strings and action.nargs != 0:
        words.append(str(action.metavar or action.dest.upper()))
    return " ".join(words)


def _meaning(action: argparse.Action) -> str:
    return "; ".join(filter(None, [", ".join(map(str, action.choices or ())), action.help or ""]))
