"""Warnings and progress bars of libraries, kept out of what a caller asked for."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings, notes and progress bars of transformers and datasets away within a block."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    data_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if data_bars:
            enable_progress_bars()


def import_trainer() -> None:
    """Import the Trainer without what transformers then prints to the output where W&B is offline."""
    with redirect_stdout(None):
        import transformers.trainer  # noqa: F401


def without_bars_in_a_log() -> None:
    """Turn off the progress bars of libraries where the error output is no terminal: they would be lines of halves."""
    if os.isatty(2):
        return
    from datasets import disable_progress_bars
    from transformers.utils import logging

    disable_progress_bars()
    logging.disable_progress_bar()  # of the Hub too


@contextmanager
def stdout_for_the_answer(wanted: bool = True) -> Iterator[None]:
    """Send what is printed within a block to the error output, whoever prints it, compiled code and children too.

    Args:
        wanted: False: change nothing.
    """
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
