"""Weights & Biases as configured by the user: no prompts, offline without an account. Free of torch imports."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from hf_peft_compare.utils.files import write_text_atomically

UNREACHABLE_FILE = "wandb/unreachable"  # in the study's folder: why its server was not reached, and when
RETRY_SECONDS = 3600
SLOW_SECONDS = 5  # a failure that took longer would delay every run
PROJECT = "hf-peft-compare"
INIT_SECONDS = 60
FINISH_SECONDS = 300  # whatever is not uploaded by then stays on disk, for `wandb sync`
logger = logging.getLogger(__name__)


def is_disabled() -> bool:
    """Return whether W&B is disabled by its own setting, read here since importing wandb takes a second."""
    return os.environ.get("WANDB_MODE") == "disabled"


def open_run(*, folder: Path, study_folder: Path, note: Callable[[str], None], **about: object) -> Any:
    """Open a W&B run as configured by the user, offline if that fails or there is no account.

    A server that does not answer is not tried again by the study's runs within an hour.

    Args:
        folder: W&B writes to its subfolder `wandb`.
        note: called with the reason if a run is offline although there is an account.
        about: group, name, job_type, id and config of the run.
    """
    unreachable, start = study_folder / UNREACHABLE_FILE, time.time()
    try:
        if has_account():
            if unreachable.is_file() and start - unreachable.stat().st_mtime < RETRY_SECONDS:
                raise TimeoutError(unreachable.read_text())
            return _init(folder=folder, mode=None, **about)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        note(f"W&B could not start, so the run is logged offline ({reason}).")
        if time.time() - start > SLOW_SECONDS:
            write_text_atomically(unreachable, reason)
        about = {**about, "id": f"{about['id']}-offline"}  # W&B's service may still hold the id
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
    """Return whether wandb finds credentials on this machine, without a prompt and without calling a server."""
    import wandb
    from wandb.sdk.lib import wbauth

    own = wandb.setup().settings
    return bool(own.api_key or own.identity_token_file or wbauth.read_netrc_auth(host=own.base_url))
