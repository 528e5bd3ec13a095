"""A job as a file, which a process of any machine that sees the study's folder can run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.utils.files import write_text_atomically

JOB_FILE = "job.json"  # in the run's folder while it waits or runs


def write_job(job: Job) -> Path:
    """Write a job to its run's folder; return the file."""
    file = job.folder.resolve() / JOB_FILE
    write_text_atomically(file, json.dumps({**asdict(job), "folder": str(job.folder.resolve())}))
    return file


def read_job(file: Path) -> Job:
    """Return the job in a file.

    Raises:
        UserError: the file does not hold a job.
    """
    try:
        return parse(Job, json.loads(file.read_text(encoding="utf-8")), where=f"job {file}", if_missing="")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"job {file} cannot be read ({error}); `run` writes such files.") from None
