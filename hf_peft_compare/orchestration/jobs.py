"""The jobs of a study: which runs are finished, changed or open, and their folders."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hf_peft_compare.config.identity import identity_of, read_identity, write_identity
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.study import Study
from hf_peft_compare.orchestration.changes import changes_since
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.record import read_record, write_record
from hf_peft_compare.records.run_folder import CHECKPOINTS_FOLDER, RECORD_FILE, DamagedRun, folder_of_study, supersede
from hf_peft_compare.records.tuning import Tuning


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to execute: its config, the origins of its values, its folder, its estimate, and how it was tuned."""

    config: RunConfig
    origins: Mapping[str, str]
    folder: Path
    plan: RunPlan | None = None
    tuning: Tuning | None = None

    @property
    def study_folder(self) -> Path:
        """The folder of the job's study."""
        return folder_of_study(self.folder, trial=self.config.trial)

    @property
    def state(self) -> str:
        """Whether the run is "finished", "changed" since it began (see `changes_since`) or damaged, or "open".

        Only the process that holds the study's folder can rely on it.
        """
        try:
            if self._why_again():
                return "changed"
            finished = (self.folder / RECORD_FILE).exists() and read_record(self.folder).finished
        except OSError:  # a folder that cannot be read; `prepare` raises it again
            return "open"
        return "finished" if finished else "open"

    def _why_again(self) -> str:
        """Return why a run that was started in the folder is not this one; empty: it is, or there is none."""
        try:
            changes = changes_since(self.config, self.folder)
        except DamagedRun as error:
            return error.reason
        return f"the {' and the '.join(changes)} changed since it ran" if changes else ""

    def prepare(self) -> str | None:
        """Create the run's folder; an old run that is damaged or has other settings, data, model or code is moved away.

        Returns:
            Why and where to the old run was moved; None if it was not.
        """
        moved = None
        if why := self._why_again():
            kept = supersede(self.folder).relative_to(self.study_folder)
            moved = f"{why}; training again, the old run is kept in {kept}"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RECORD_FILE).unlink(missing_ok=True)  # the record of a failed run, which is now retried
        write_identity(identity_of(self.config, read_identity(self.folder)), self.folder)
        return moved


OnEvent = Callable[[Job, str], None]


def jobs_of(study: Study, *, output_dir: Path, rows: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Job]:
    """Return the jobs of a study, all or those of some rows and seeds.

    Raises:
        UserError: an unknown row, or a setting that does not resolve.
    """
    rows, seeds = rows or list(study.config.methods), seeds or study.config.seeds
    folder = output_dir / study.config.name
    resolved = [study.resolve(row=row, seed=seed) for seed in seeds for row in rows]
    return [Job(config=config, origins=origins, folder=folder / config.run) for config, origins in resolved]


def unfinished(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that have to run.

    For finished jobs, the current size and time of their input files is stored, so that they need not be hashed again,
    and checkpoints are removed, which a run leaves that is killed after its record. A record keeps up with a tuning
    that was done in another way and has found the same settings.
    """
    waiting = []
    for job in jobs:
        if job.state != "finished":
            waiting.append(job)
            continue
        shutil.rmtree(job.folder / CHECKPOINTS_FOLDER, ignore_errors=True)
        begun = read_identity(job.folder)
        if job.tuning is not None and (record := read_record(job.folder)).tuning != job.tuning:
            with contextlib.suppress(OSError):  # a read-only folder
                write_record(replace(record, tuning=job.tuning), job.folder)
        if (now := identity_of(job.config, begun)) != begun:
            with contextlib.suppress(OSError):
                write_identity(now, job.folder)
    return waiting


def planned(job: Job, plans: Mapping[str, RunPlan]) -> Job:
    """Return a job with the plan of its row; a method without a model has no plan."""
    plan = plans.get(job.config.row)
    return job if plan is None else replace(job, plan=replace(plan, seed=job.config.seed))
