"""Tuning trials, however their settings are proposed: jobs, results, and a run's job with the best settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hf_peft_compare.config.schema import RunConfig, run_key
from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.records.record import RunRecord, read_record
from hf_peft_compare.records.run_folder import RECORD_FILE, TUNING_FOLDER
from hf_peft_compare.records.tuning import Trial, Tuning


def trial_job(base: Job, settings: Mapping[str, Any], *, seed: int, number: int) -> Job:
    """Return the job of a row's trial: the row's own config with the settings tried."""
    config = replace(with_settings(base.config, settings), seed=seed, trial=number)
    folder = base.folder.parent / TUNING_FOLDER / config.run
    return Job(config=config, origins=_origins(base, settings, "trial"), folder=folder, plan=base.plan)


def trial_record(job: Job) -> RunRecord | None:
    """Return the record of a trial; None: it left none."""
    return read_record(job.folder) if (job.folder / RECORD_FILE).exists() else None


def trial_of(settings: Mapping[str, Any], record: RunRecord | None, *, steps: int | None = None) -> Trial:
    """Return a trial with its result; one that failed, or whose loss is not finite, has no validation loss."""
    loss = record.validation.best_loss if record is not None and record.validation else None
    evaluations = [entry.eval_loss for entry in record.history if entry.eval_loss is not None] if record else []
    return Trial(
        settings=dict(settings),
        validation_loss=loss if loss is not None and math.isfinite(loss) else None,
        validation_losses=evaluations,
        seconds=record.seconds.total if record else 0.0,
        error=record.error if record else "no record",
        steps=steps,
    )


def with_best(job: Job, tuned: Mapping[str, Tuning]) -> Job:
    """Return a row's job with its best settings; the job of a row that was not tuned is unchanged."""
    found = tuned.get(job.config.row)
    if found is None:
        return job
    settings = found.best_settings
    config = with_settings(job.config, settings)
    return replace(job, config=config, origins=_origins(job, settings, "tuned"), tuning=found)


def with_settings(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """Return a config with other values of its method's settings, and of training settings named `training.…`."""
    training = {k.removeprefix("training."): v for k, v in settings.items() if k.startswith("training.")}
    own = {k: v for k, v in settings.items() if not k.startswith("training.")}
    return replace(config, training=replace(config.training, **training), method={**config.method, **own})


def _origins(job: Job, settings: Mapping[str, Any], layer: str) -> dict[str, str]:
    return {**job.origins, **dict.fromkeys(map(run_key, settings), layer)}
