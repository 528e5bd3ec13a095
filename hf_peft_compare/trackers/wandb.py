"""Weights & Biases as configured by the user: no prompts, offline without an account."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any, Literal

from hf_peft_compare.core.tracker import PROJECT, TrackedRun, TrackedTable, Tracker
from hf_peft_compare.utils.files import write_text_atomically

UNREACHABLE_FILE = "wandb/unreachable"  # in the study's folder: why its server was not reached, and when
RETRY_SECONDS = 3600
SLOW_SECONDS = 5  # a failure that took longer would delay every run
INIT_SECONDS = 60
FINISH_SECONDS = 300  # whatever is not uploaded by then stays on disk, for `wandb sync`
STEP = "train/global_step"


class WandbTracker(Tracker):
    """Log a run to W&B, in the group of its study.

    The run is offline unless the user is logged in to W&B; `wandb sync <folder>/wandb/offline-run-*` uploads it later.
    W&B's own environment variables and settings files may set mode and project. Figures are in its summary.
    """

    name = "wandb"
    title = "W&B"
    package = "wandb"
    install = "wandb"

    def __init__(self) -> None:
        self._run: Any = None

    def is_off(self) -> bool:
        """Return whether its mode is "disabled", read here since importing wandb takes a second."""
        return os.environ.get("WANDB_MODE") == "disabled"

    def start(self, run: TrackedRun) -> None:
        """Open the W&B run; an interrupted run continues under its id, as does a study's verdict."""
        self._run = _open(run)
        if not run.is_verdict:
            self._run.define_metric("train/*", step_metric=STEP)
            self._run.define_metric("eval/*", step_metric=STEP)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values against train/global_step."""
        self._run.log({**values, STEP: step})

    def finish(self, figures: Mapping[str, str | float], tables: Mapping[str, TrackedTable]) -> None:
        """Write figures into the summary, and log tables and the plots of them."""
        self._run.summary.update(figures)
        if tables:
            self._run.log({name: drawn for key, table in tables.items() for name, drawn in _drawn(key, table).items()})

    def close(self, *, failed: bool) -> None:
        """End the W&B run."""
        if self._run is not None:
            self._run.finish(exit_code=int(failed))


def _drawn(name: str, table: TrackedTable) -> dict[str, Any]:
    """Return a table and its plots as W&B has them."""
    import wandb

    made = wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
    plots = {plot.name: wandb.plot.scatter(made, plot.x, plot.y, title=plot.title) for plot in table.plots}
    return {name: made, **plots}


def _open(run: TrackedRun) -> Any:
    """Open a W&B run as configured by the user, offline if that fails or there is no account.

    A server that does not answer is not tried again by the study's runs within an hour.
    """
    about: dict[str, Any] = {"group": run.study, "name": run.name, "job_type": run.kind, "id": _identity(run)}
    if run.config:
        about["config"] = dict(run.config)
    unreachable, start = run.study_folder / UNREACHABLE_FILE, time.time()
    try:
        if has_account():
            if unreachable.is_file() and start - unreachable.stat().st_mtime < RETRY_SECONDS:
                raise TimeoutError(unreachable.read_text())
            return _init(run, mode=None, **about)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        run.note(f"W&B could not start, so the run is logged offline ({reason}).")
        if time.time() - start > SLOW_SECONDS:
            write_text_atomically(unreachable, reason)
        about["id"] = f"{about['id']}-offline"  # W&B's service may still hold the id
    return _init(run, mode="offline", **about)


def _identity(run: TrackedRun) -> str:
    if run.is_verdict:
        return re.sub(r"[^\w.-]+", "-", f"{run.study}-verdict")[-128:]  # W&B's own limits
    return f"{run.key}-{run.interrupted_id(WandbTracker.name) or run.keep_id(WandbTracker.name)}"


def _init(run: TrackedRun, *, mode: Literal["offline"] | None, **about: Any) -> Any:
    import wandb

    own = wandb.setup().settings
    settings: dict[str, Any] = {"silent": True, "console": "off", "init_timeout": INIT_SECONDS}
    if "finish_timeout" in wandb.Settings.model_fields:  # not in older releases
        settings["finish_timeout"] = FINISH_SECONDS
    return wandb.init(
        project=own.project or PROJECT,
        dir=str(run.folder),
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
