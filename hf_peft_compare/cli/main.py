"""The command line: parse, delegate. Nothing here needs torch until a run begins."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from hf_peft_compare.cli import choose, doctor, export, list, plan, predict, report, run, show, train
from hf_peft_compare.core.errors import BAD_INPUT, FAILED, INTERRUPTED, OK, RunFailed, UserError
from hf_peft_compare.core.registry import load_plugins

COMMANDS = (list, show, run, train, plan, doctor, report, choose, predict, export)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        load_plugins(options.plugin)
        return options.function(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from the last checkpoint.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hf-peft-compare", description="Compare ways to adapt one pretrained model to one task."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
