"""Run a study from the command line or from Python: tune, run, display progress, and write its file to its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hf_peft_compare.config.study import Study
from hf_peft_compare.core.tracking import check_energy, check_trackers
from hf_peft_compare.orchestration.children import check_system, sigterm_as_ctrl_c
from hf_peft_compare.orchestration.executors import LOCAL
from hf_peft_compare.orchestration.jobs import Job, jobs_of
from hf_peft_compare.orchestration.launcher import count_examples, run_jobs
from hf_peft_compare.orchestration.notebook_progress import NotebookProgress, in_notebook
from hf_peft_compare.orchestration.place import HERE, Place
from hf_peft_compare.orchestration.progress_display import ProgressDisplay
from hf_peft_compare.orchestration.rate_search import rated_jobs
from hf_peft_compare.records.remote_runs import shared
from hf_peft_compare.records.run_folder import STUDY_FILE
from hf_peft_compare.utils.files import remove_leftovers, write_text_atomically


def do_study(
    study: Study,
    *,
    output_dir: Path,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    place: Place = HERE,
) -> dict[str, str]:
    """Run all methods and seeds of a study, or some of them; return the outcome of each run by its name.

    Raises:
        UserError: invalid input of any run; nothing was trained.
    """
    check_system()
    check_trackers(study.config.tracking.report_to)
    check_energy(study.config.tracking.energy, max_parallel=place.max_parallel if place.executor == LOCAL else None)
    jobs = jobs_of(study, output_dir=output_dir, rows=rows, seeds=seeds)
    file = output_dir / study.config.name / STUDY_FILE
    with shared(file.parent) as upload:
        return _do_jobs(study, jobs, file, place, upload)


def _do_jobs(study: Study, jobs: list[Job], file: Path, place: Place, upload: Callable[[Path], str]) -> dict[str, str]:
    is_written = False

    def on_event(job: Job, message: str) -> None:
        nonlocal is_written
        if message == "planned" and not is_written:  # by then everything is checked, and this process owns the folder
            write_text_atomically(file, study.to_yaml())
            is_written = True
        progress(job, message)
        if message in ("finished", "failed") and (problem := upload(job.folder)):
            progress(job, problem)

    remove_leftovers(file.parent)
    with sigterm_as_ctrl_c(), NotebookProgress(jobs) if in_notebook() else ProgressDisplay() as progress:
        launch = partial(run_jobs, place=place, on_event=on_event)
        if study.config.tune == "auto":
            jobs = rated_jobs(study, jobs, launch, count_examples)
        elif study.config.tune is not None:
            from hf_peft_compare.orchestration.tuning import tuned_jobs

            jobs = tuned_jobs(study, jobs, launch)
        outcomes = launch(jobs)
    if not file.exists():
        write_text_atomically(file, study.to_yaml())
    return outcomes
