"""The study that a folder of runs is of: its file, or what its records have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.config.schema import StudyConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import STUDY_FILE


def study_in(folder: Path, records: Mapping[str, RunRecord]) -> StudyConfig:
    """Return the study of a folder.

    Raises:
        UserError: neither a study's file nor records there.
    """
    if (folder / STUDY_FILE).is_file():
        return load_study(folder / STUDY_FILE).config
    if not records:
        raise UserError(
            f"no records in {folder}; expected the folder of a study that has run, such as runs/quickstart."
        )
    return study_of(records)


def study_of(records: Mapping[str, RunRecord]) -> StudyConfig:
    """Make the study of which the records are, as far as they know it: its rows, seeds and what all runs share."""
    first = next(iter(records.values()))
    shared = {f.name: first.config[f.name] for f in fields(StudyProtocol) if f.name in first.config}
    methods: dict[str, dict[str, Any]] = {}
    for record in records.values():
        own = {key: value for key, value in record.config.get("method", {}).items() if key != "name"}
        methods.setdefault(record.row, {"method": record.method, **own})
    seeds = sorted({record.seed for record in records.values()})
    known = {"name": first.study, "title": first.study, "methods": methods, "seeds": seeds}
    unknown = {"task": {}, "dataset": "", "model_name_or_path": ""}  # of a record that does not have them
    return parse(StudyConfig, {**unknown, **shared, **known}, where=f"the records of {first.study}")
