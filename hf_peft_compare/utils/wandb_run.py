"""Weights & Biases as the user has set it up: it asks nothing, and is offline without an account; no torch here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    pass

PROJECT = "hf-peft-compare"
INIT_SECONDS = 60
FINISH_SECONDS = 300  # what is not uploaded by then stays on disk, for `wandb sync`
logger = logging.getLogger(__name__)


def is_disabled() -> bool:
    """Whether the user wants no W&B at all; wandb reads this too, but takes a second to import."""
    return os.environ.get("WANDB_MODE") == "disabled"


def open_run(*, folder: Path, note: Callable[[str], None], **about: object) -> Any:
    """Open a W&B run as the user's W&B is set up, offline where that fails or there is no account.

    Args:
        folder: W&B's files go to `wandb` in it.
        note: is told why a run is offline although there is an account.
        about: group, name, job_type, id and config of the run.
    """
    try:
        if has_account():
            return _init(folder=folder, mode=None, **about)
    except Exception as error:
        note(f"W&B could not start, so the run is logged offline ({type(error).__name__}: {error}).")
    return _init(folder=folder, mode="offline", **about)


def _init(*, folder: Path, mode: Literal["offline"] | None, **about: Any) -> Any:
    import wandb

    own = wandb.setup().settings
    settings: dict[str, Any] = {"silent": True, "console": "off", "init_timeout": INIT_SECONDS}
    if "finish_timeout" in wandb.Settings.model_fields:  # not in older releases
        settings["finish_timeout"] = FINISH_SECONDS
    return wandb.init(
        project=own.project or PROJECT,
        dir=str(folder),
        resume="allow",
        mode=None if own.mode == "disabled" else mode,
        settings=wandb.Settings(**settings),
        **about,
    )


def has_account() -> bool:
    """Whether wandb finds credentials on this machine; it neither asks for them nor calls a server."""
    import wandb
    from wandb.sdk.lib import wbauth

    own = wandb.setup().settings
    return bool(own.api_key or own.identity_token_file or wbauth.read_netrc_auth(host=own.base_url))
