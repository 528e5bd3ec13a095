"""All runs of a study: one process each, finished ones skipped, failures survived, interrupted ones resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.study import Study
from hf_peft_compare.orchestration.study_folder import supersede
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import CONFIG_HASH_FILE, RECORD_FILE, folder_of_study
from hf_peft_compare.records.tuning import Tuning
from hf_peft_compare.utils.files import write_text_atomically


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to do: its config, where its values come from, its folder, its estimate, and how it was tuned."""

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
        """Say whether the run is "finished" with this very config, begun with an "other config", or "open"."""
        if (self.folder / RECORD_FILE).exists():
            record = read_record(self.folder)
            if record.config_hash != self.config.hash:
                return "other config"
            return "finished" if record.finished else "open"
        begun = self.folder / CONFIG_HASH_FILE
        return "other config" if begun.exists() and begun.read_text() != self.config.hash else "open"

    def prepare(self) -> None:
        """Make the run's folder; what stands there of another config is moved away, never lost."""
        if self.state == "other config":
            supersede(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RECORD_FILE).unlink(missing_ok=True)  # of a failure, which is now tried again
        write_text_atomically(self.folder / CONFIG_HASH_FILE, self.config.hash)


Say = Callable[[Job, str], None]


def jobs_of(study: Study, *, output_dir: Path, rows: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Job]:
    """Give the runs of a study, all or those of some rows and seeds.

    Raises:
        UserError: an unknown row, or a setting that does not resolve.
    """
    rows, seeds = rows or list(study.config.methods), seeds or study.config.seeds
    folder = output_dir / study.config.name
    resolved = [study.resolve(row=row, seed=seed) for seed in seeds for row in rows]
    return [Job(config=config, origins=origins, folder=folder / config.run) for config, origins in resolved]


def planned(job: Job, plans: Mapping[str, RunPlan]) -> Job:
    """Return a job with the plan of its row; one without a model has none."""
    plan = plans.get(job.config.row)
    return job if plan is None else replace(job, plan=replace(plan, seed=job.config.seed))
