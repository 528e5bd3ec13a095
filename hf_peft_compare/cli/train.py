"""`train`: train one run in this process, or in those of `accelerate launch`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.cli.options import Commands, add_command, add_study, add_trust
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.schema import Tune
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.remote_folder import remote_of, shown

if TYPE_CHECKING:
    from hf_peft_compare.orchestration.jobs import Job


def add(commands: Commands) -> None:
    """Add the command, and the hidden command that executors start."""
    train = add_command(commands, "train", train_command, "train one run here, or under accelerate launch")
    add_study(train)
    add_trust(train)
    train.add_argument("--method", required=True, metavar="ROW", help="the row of the study")
    train.add_argument("--seed", type=int, default=0)
    job = add_command(commands, "train-job", train_job_command, argparse.SUPPRESS)
    job.add_argument("job", type=Path)
    job.add_argument("--watch-stdin", action="store_true")


def train_command(options: argparse.Namespace) -> int:
    """Train one run in this process, or in all processes that `accelerate launch` starts."""
    from hf_peft_compare.orchestration.jobs import jobs_of
    from hf_peft_compare.orchestration.worker import train_one

    if remote_of(options.output_dir) is not None:
        raise UserError(
            f"train writes to a folder of this machine, not to {shown(options.output_dir)}; use `hf-peft-compare run "
            f"STUDY --method {options.method} --seed {options.seed}`, which uploads."
        )
    study = load_study(options.study, options.set)
    job = jobs_of(study, output_dir=options.output_dir, rows=[options.method], seeds=[options.seed])[0]
    if isinstance(study.config.tune, Tune):  # one run compares nothing, so "auto" searches nothing
        from hf_peft_compare.orchestration.tuning import tuned_jobs

        (job,) = tuned_jobs(study, [job], _refuse_trials)
    _check_device(os.environ.get("LOCAL_RANK"))
    if os.environ.get("RANK", "0") != "0":
        return train_one(job)
    from hf_peft_compare.orchestration.progress_display import ProgressDisplay

    with ProgressDisplay() as display:
        return train_one(job, on_event=display)


def train_job_command(options: argparse.Namespace) -> int:
    """Train a run that `run` described in a file, as executors start it."""
    from hf_peft_compare.orchestration.worker import train_job

    return train_job(options.job, watch_stdin=options.watch_stdin)


def _refuse_trials(jobs: Sequence[Job], *, check: bool) -> dict[str, str]:
    """Raise UserError: a single run was requested, but its settings have not been tuned yet."""
    row = jobs[0].config.row
    raise UserError(
        f"{row} is not tuned yet. Run `hf-peft-compare run STUDY --method {row}` first, or train it with its own "
        f"settings: --set tune=null"
    )


def _check_device(local_rank: str | None) -> None:
    """Raise UserError if there are more processes than CUDA devices, since CUDA's own error is unclear."""
    if local_rank is None:
        return
    import torch

    devices = torch.cuda.device_count()
    if devices and int(local_rank) >= devices:
        raise UserError(f"process {local_rank} has no GPU: there are {devices}; lower --num_processes to {devices}.")
