"""Read and write the record of a run, the JSON file with all its measurements.

A run's folder is `<output dir>/<study>/<row>-seed<seed>/` with

    record.json        raw numbers, full config, provenance
    predictions.jsonl  one line per test example: id, prediction, reference, scores
    model/             the trained parameters (adapter, soft prompt, or the trained tensors)
    checkpoints/       until the run is finished
    log.txt            the output of the run
    progress.json      the current state of the run
    identity.json      hashes of the settings, data, model and code at the start of the run
    wandb/             the W&B run, if it is logged there
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT, parse
from hf_peft_compare.records.parts import (
    Costs,
    HistoryEntry,
    Memory,
    MethodCard,
    Parameters,
    Provenance,
    ScoreDescription,
    Seconds,
    Throughput,
    TrunkCache,
    Validation,
)
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.run_folder import RECORD_FILE, DamagedRun, read_predictions, run_name
from hf_peft_compare.records.tuning import Tuning
from hf_peft_compare.records.upgrading import SCHEMA_VERSION, STEPS, upgrade
from hf_peft_compare.utils.files import write_text_atomically
from hf_peft_compare.utils.reading import read_json

if TYPE_CHECKING:
    from hf_peft_compare.config.schema import RunConfig


def _readable(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config of any version; raise ValueError if what reports read of it has another type."""
    for key in ("task", "method", "training", "generation", "grid"):
        if not isinstance(config.get(key, {}), dict):
            raise ValueError(f"{key} should be a mapping")
    if not isinstance(config.get("training", {}).get("learning_rate", 0.0), int | float):
        raise ValueError("training.learning_rate should be a number")
    if not isinstance(config.get("task", {}).get("labels") or [], list):
        raise ValueError("task.labels should be a list")
    return config


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunRecord:
    """All measurements of one run, in raw units.

    Args:
        status: whether the run finished with all its measurements.
        error: the error of a failed run; None if finished.
        study, row, method, seed: the identity of the run; `row` is the study's name for the method with its settings.
        config: the resolved config of the run.
        config_origins: {dotted key of the config: the layer that set it}.
        card: the method's description at the time of the run.
        config_hash: hash of the settings that determine the scores.
        scores: {score name: description}, the ranking score first.
        parameters: None if no model was built.
        initial_trainables_sha256, final_trainables_sha256: hashes of the trainable parameters before and after.
        results: {score name: mean over the test examples}; test_loss is in nats per token, over all tokens.
        seconds, memory, throughput: what the run took.
        validation: None if nothing was trained.
        trunk_cache: None if the run did not use cached states of a frozen trunk.
        tuning: how the row's settings were tuned; None if they were not.
        plan: the estimates made before the run; None if there are none.
        costs: None if they were not measured.
        history: one entry per logged step.
        notes: remarks for the reader, e.g. that a micro-batch was halved.
        provenance: everything needed to reproduce the numbers.
        schema_version: of the record's form; readers upgrade older ones.
    """

    status: Literal["finished", "failed"]
    error: str | None
    study: str
    row: str
    method: str
    seed: int
    config: Annotated[dict[str, Any], AfterValidator(_readable)]
    config_origins: dict[str, str]
    config_hash: str
    card: MethodCard
    scores: dict[str, ScoreDescription] = field(default_factory=dict)
    parameters: Parameters | None = None
    initial_trainables_sha256: str | None = None
    final_trainables_sha256: str | None = None
    results: dict[str, float] = field(default_factory=dict)
    validation: Validation | None = None
    seconds: Seconds = field(default_factory=Seconds)
    memory: Memory = field(default_factory=Memory)
    trunk_cache: TrunkCache | None = None
    tuning: Tuning | None = None
    plan: RunPlan | None = None
    throughput: Throughput = field(default_factory=Throughput)
    costs: Costs | None = None
    history: list[HistoryEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    schema_version: int = SCHEMA_VERSION

    @property
    def run(self) -> str:
        """The run's name within its study."""
        return run_name(row=self.row, seed=self.seed)

    @property
    def finished(self) -> bool:
        """Whether the run finished with all its measurements."""
        return self.status == "finished"


def record_of(
    config: RunConfig, origins: Mapping[str, str], *, error: str | None, plan: RunPlan | None = None
) -> RunRecord:
    """Return the record of a run without measurements; its status is "failed" if there is an error."""
    method = config.method_type
    return RunRecord(
        status="finished" if error is None else "failed",
        error=error,
        study=config.study,
        row=config.row,
        method=method.name,
        seed=config.seed,
        config=asdict(config),
        config_origins=dict(origins),
        config_hash=config.hash,
        card=MethodCard(**method.describe(config.method_settings)),
        plan=plan,
    )


def write_record(record: RunRecord, folder: Path) -> None:
    """Write a run's record into its folder, atomically."""
    write_text_atomically(folder / RECORD_FILE, json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> RunRecord:
    """Read the record in a run's folder, written by any known version.

    Raises:
        DamagedRun: it cannot be read, is truncated, or has an invalid value.
        UserError: there is none, or it is of an unknown version.
    """
    path = folder / RECORD_FILE
    if not os.path.lexists(path):
        raise UserError(f"no record at {path}. Expected a run's folder with a {RECORD_FILE}; run the study first.")
    try:
        raw = read_json(path)
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if type(version) is not int or version < min(STEPS):
            raise UserError(f"{path} is not a record: expected a JSON object with a schema_version")
        if version <= SCHEMA_VERSION:
            return _record_of(raw, path)
    except UserError as error:
        raise DamagedRun(error, folder) from None
    raise UserError(
        f"{path} is a record of schema version {version}; this release of hf_peft_compare reads versions up to "
        f"{SCHEMA_VERSION}. Install a newer release: pip install --upgrade hf_peft_compare."
    )


def _record_of(raw: dict[str, Any], path: Path) -> RunRecord:
    try:
        upgraded = upgrade(raw)
    except (AttributeError, KeyError, TypeError) as error:  # raised by a step of `upgrade`
        form = f"it does not have the form of schema version {raw['schema_version']}"
        raise UserError(f"{path}: {form} ({type(error).__name__}: {error})") from None
    if missing := [f.name for f in fields(RunRecord) if f.name not in upgraded]:  # also those with a default
        raise UserError(f"{path}: {'; '.join(f'key {name!r} is missing' for name in missing)}")
    return parse(RunRecord, upgraded, where=str(path), if_missing="")


def read_records(study_folder: Path) -> dict[str, RunRecord]:
    """Read all records in a study's folder, by run name, in name order."""
    return {path.parent.name: read_record(path.parent) for path in sorted(study_folder.glob(f"*/{RECORD_FILE}"))}


def read_runs(study_folder: Path) -> tuple[dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    """Read the records and the predictions of all runs in a study's folder, by run name."""
    records, texts = read_records(study_folder), dict[str, str]()
    return records, {run: list(read_predictions(study_folder / run, texts)) for run in records}
