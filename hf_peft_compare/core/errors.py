"""The errors that end a command, and the exit statuses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

OK, FAILED, BAD_INPUT, REQUEUE, INTERRUPTED = 0, 1, 2, 75, 130  # exit statuses of commands and of runs' processes
MAX_LENGTH = 2_000  # characters of a message: about a screen


class UserError(Exception):
    """Invalid input. The message states the value received, what was expected and how to fix it.

    The command prints the message and exits with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shorten(message, MAX_LENGTH))


class RunFailed(Exception):
    """A run that started and failed; its record holds the error. The command exits with status 1."""


def shorten(text: str, length: int) -> str:
    """Return a text of at most `length` characters; the middle of a longer one is left out."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"


def unknown(what: str, value: str, known: Iterable[str]) -> UserError:
    """Return the error for an unknown name, with the nearest valid name and the list of all valid names.

    Args:
        what: what the name refers to, e.g. "method".
        value: the name received.
        known: the valid names.
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(f"unknown {what} {value!r}.{hint} Valid: {', '.join(names) or 'none'}.")
