"""The command line: parse the arguments and call a command. Nothing here imports torch until a run starts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from hf_peft_compare.cli import choose, doctor, export, list, plan, predict, report, run, show, train
from hf_peft_compare.core.errors import BAD_INPUT, FAILED, INTERRUPTED, OK, RunFailed, UserError
from hf_peft_compare.core.registry import load_plugins
from hf_peft_compare.utils.remote_code import trusting

COMMANDS = (list, show, run, train, plan, doctor, report, choose, predict, export)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 1 a run failed, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        load_plugins(options.plugin)
        with trusting(getattr(options, "trust_remote_code", False)):
            return options.function(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except RunFailed as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to resume from the last checkpoint.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hf-peft-compare", description="Compare fine-tuning methods for one pretrained model on one task."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
