"""Code that comes with a model: it runs only if the command line or the caller allows it, which no study can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

TRUST_VARIABLE = "HF_PEFT_COMPARE_TRUST_REMOTE_CODE"  # "1": allowed; child processes inherit it
HOW_TO_ALLOW = "If you have read it and trust it, allow it: --trust-remote-code, or trust_remote_code=True in Python."


def trusts_remote_code() -> bool:
    """Whether models may bring code of their own."""
    return os.environ.get(TRUST_VARIABLE) == "1"


@contextmanager
def trusting(allowed: bool) -> Iterator[None]:
    """Allow models to bring code of their own within a block; False: change nothing."""
    before = os.environ.get(TRUST_VARIABLE)
    if allowed:
        os.environ[TRUST_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(TRUST_VARIABLE, None)
        else:
            os.environ[TRUST_VARIABLE] = before


def load_auto(load: Callable[..., T], *arguments: object, **settings: object) -> T:
    """Call `from_pretrained` or `from_config` of one of transformers' auto classes, which all go through here.

    What transformers has a class for is loaded natively, also if the model brings code of its own. Thus allowing such
    code changes no model that loads without it.

    Raises:
        ValueError: the model needs code of its own, which is not allowed; see `needs_remote_code`.
    """
    from transformers import dynamic_module_utils

    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0  # what transformers and peft load inside must not ask on a terminal
    try:
        return load(*arguments, trust_remote_code=False, **settings)
    except ValueError as error:
        if not (trusts_remote_code() and needs_remote_code(error)):
            raise
    return load(*arguments, trust_remote_code=True, **settings)


def needs_remote_code(error: Exception) -> bool:
    """Whether transformers refused a model because it needs code of its own."""
    return "trust_remote_code=True" in str(error)
