"""The command line: parse the arguments and call a command. Nothing here imports torch until a run starts."""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Sequence

from hf_peft_compare.core.errors import BAD_INPUT, FAILED, INTERRUPTED, OK, RunFailed, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Returns:
        0: done; 1: a run failed, or this program has a fault; 2: bad input, or a file that cannot be read or written;
        130: interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a pipe of Windows may have no character for "≥"
            stream.reconfigure(errors="backslashreplace")
    try:
        options = make_parser().parse_args(arguments)
        from hf_peft_compare.core.registry import load_plugins

        load_plugins(options.plugin)
        from hf_peft_compare.utils.remote_code import trusting

        with trusting(getattr(options, "trust_remote_code", False)):
            status = options.function(options)
        sys.stdout.flush()  # here, so that a closed pipe or a full disk is handled below
        return status
    except UserError as error:
        return _end(f"error: {error}", BAD_INPUT)
    except RunFailed as error:
        return _end(f"failed: {error}", FAILED)
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed the pipe
        return _end("", OK)
    except KeyboardInterrupt as interrupt:
        what = str(interrupt) or "run the same command again to resume from the last checkpoint."
        return _end(f"\ninterrupted; {what}", INTERRUPTED)
    except OSError as error:
        return _end(f"error: {_one_line(error)}. {_keep_traceback()}", BAD_INPUT)
    except ModuleNotFoundError as error:
        return _end(f"error: {_describe_missing(error)}", BAD_INPUT)
    except Exception as error:
        fault = f"error: {type(error).__name__}: {_one_line(error)}. This is a fault of hf-peft-compare."
        return _end(f"{fault} {_keep_traceback()}", FAILED)


def _end(message: str, status: int) -> int:
    """Print how the command ended; output that can no longer be written is dropped, or Python would complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if message:
        print(message, file=sys.stderr)
    return status


def _describe_missing(error: ModuleNotFoundError) -> str:
    """Return which package is missing, and how to install it."""
    return (
        f"{(error.name or str(error)).partition('.')[0]} is not installed, which this command needs: pip install "
        f"hf_peft_compare installs all that is needed. Without it, list, show, status, report and choose work."
    )


def _one_line(error: Exception) -> str:
    named = isinstance(error, OSError) and error.filename is not None
    text = f"{error.filename}: {error.strerror}" if named else str(error)  # type: ignore[attr-defined]
    return textwrap.shorten(text, 500, placeholder=" …")


def _keep_traceback() -> str:
    """Write the traceback of the current exception to a file; return a sentence that says where it is."""
    try:
        with tempfile.NamedTemporaryFile("wb", prefix="hf-peft-compare-", suffix=".txt", delete=False) as file:
            file.write(traceback.format_exc().encode("utf-8", "backslashreplace"))
        return f"The traceback is in {file.name}."
    except OSError:  # not even there
        return f"The traceback:\n{traceback.format_exc()}"


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line; the function of a command is its `function`."""
    # Imported here, where Ctrl-C in what takes longest to load ends in one line too.
    from hf_peft_compare.cli import (
        choose,
        doctor,
        export,
        list,
        plan,
        predict,
        publish,
        report,
        run,
        show,
        status,
        train,
    )

    parser = argparse.ArgumentParser(
        prog="hf-peft-compare", description="Compare fine-tuning methods for one pretrained model on one task."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (list, show, run, status, train, plan, doctor, report, choose, predict, export, publish):
        command.add(commands)
    return parser
