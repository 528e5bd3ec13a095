"""The two ways a command can end badly."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130  # exit statuses of commands and of runs' processes


class UserError(Exception):
    """Bad input: what came, what was expected, what to do. The command prints it and exits with status 2."""


class RunFailed(Exception):
    """A run that began and could not be finished; its record holds the error. The command exits with status 1."""


def unknown(what: str, came: str, known: Iterable[str]) -> UserError:
    """Say that a name is not known, which one is nearest, and which there are.

    Args:
        what: what the name stands for, e.g. "method".
        came: the name that came.
        known: the valid names.
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(came, names, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(f"unknown {what} {came!r}.{hint} Valid: {', '.join(names) or 'none'}.")
