"""The record of a run: its JSON truth, read and written; and the words of a run's folder.

A run's folder is `<output dir>/<study>/<row>-seed<seed>/` with

    record.json        raw numbers, full config, provenance
    predictions.jsonl  one line per test example: id, prediction, reference, scores
    model/             the tuned parameters (adapter, soft prompt, or the trained tensors)
    checkpoints/       while the run is not finished
    log.txt            what the run printed
    progress.json      what it does now
    config_hash        of the config that it was begun with
    wandb/             its W&B run
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.run_folder import RECORD_FILE, read_predictions, run_name
from hf_peft_compare.utils.files import write_text_atomically

SCHEMA_VERSION = 2
ADDED = {"tuning", "costs"}  # fields that the first records of this schema do not have


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything measured in one run, in raw units.

    Args:
        status: "finished" or "failed".
        error: what failed; None when finished.
        study, row, method, seed: which run it is; `row` is the study's name for the method with its settings.
        config: the resolved config; `config_origins` says which layer set each dotted key.
        config_hash: hash of what decides the numbers.
        card: the method's title and card as it was.
        scores: {score name: {"title", "unit", "greater_is_better"}}, the ranking score first.
        parameters: "trainable_params" and "total_params"; None where no model was built.
        initial_trainables_sha256, final_trainables_sha256: hashes of the trainable parameters before and after.
        results: {score name: mean over the test examples}; test_loss is in nats per token, over all tokens.
        validation: "best_loss" (nats per token), "best_step", "best_epoch"; None where nothing was trained.
        seconds: the four clocks "train", "evaluation", "save", "load".
        memory: "baseline_bytes", "{train,evaluation}_peak_{allocated,reserved}_bytes" above the baseline, None
            without CUDA; "resident_peak_bytes" of the process; what training took: "{weights,gradients,optimizer,
            activations}_bytes", None where nothing was trained.
        trunk_cache: the cache of the frozen trunk's states: "bytes", "seconds" it took to fill, "filled_by" which run;
            None: none was used.
        tuning: how the row's settings were found: "budget", "space", "trials" with "settings" and "validation_loss",
            "best", "seconds" of all trials, "widened" and "at_edge" of the learning rate; None: they were given.
        plan: what was estimated before the run, see `hf_peft_compare.planning.RunPlan`; None: no plan was made.
        throughput: "num_train_tokens", "train_tokens_per_second", "train_flops" (forward and backward passes; None
            where the run was compiled), "num_generated_tokens", "generated_tokens_per_second".
        costs: what is easily forgotten, see `hf_peft_compare.evaluation.inference_costs`: "checkpoint_bytes",
            "{,merged_}latency_{1,32}_seconds", "{unmerged,merged}_loss" with "num_merge_examples",
            "{,untouched_}outside_loss", "costs_seconds" that measuring took, "notes"; empty: not measured.
        history: one entry per logged step: step, epoch, and loss, learning_rate, grad_norm or eval_loss.
        notes: what a reader must know, e.g. that a micro-batch was halved.
        provenance: versions, device, precision, processes, commit, data fingerprint, start; "groups", examples by split
            and group, and "labels", the names of the classes, where the data tells them.
    """

    status: str
    error: str | None
    study: str
    row: str
    method: str
    seed: int
    config: dict[str, Any]
    config_origins: dict[str, str]
    config_hash: str
    card: dict[str, str]
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    parameters: dict[str, int] | None = None
    initial_trainables_sha256: str | None = None
    final_trainables_sha256: str | None = None
    results: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int | None] = field(default_factory=dict)
    trunk_cache: dict[str, Any] | None = None
    tuning: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    throughput: dict[str, float | None] = field(default_factory=dict)
    costs: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def run(self) -> str:
        """The run's name within its study."""
        return run_name(row=self.row, seed=self.seed)

    @property
    def finished(self) -> bool:
        """Whether the run has all its numbers."""
        return self.status == "finished"


def identity(config: Any, origins: Mapping[str, str]) -> dict[str, Any]:
    """Give the fields of a record that a run's resolved config tells."""
    method = config.method_type
    return {
        "study": config.study,
        "row": config.row,
        "method": method.name,
        "seed": config.seed,
        "config": asdict(config),
        "config_origins": dict(origins),
        "config_hash": config.hash,
        "card": method.describe(config.method_settings),
    }


def write_record(record: RunRecord, folder: Path) -> None:
    """Write a run's record into its folder, atomically."""
    write_text_atomically(folder / RECORD_FILE, json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> RunRecord:
    """Read the record of a run's folder.

    Raises:
        UserError: no record there, cut short, or of another schema.
    """
    path = folder / RECORD_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"no record at {path}. Expected a run's folder with a {RECORD_FILE}; run the study first."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not a whole record ({error}). Delete the folder {folder} and run the study again."
        ) from None
    known = {f.name for f in fields(RunRecord)}
    is_ours = isinstance(raw, dict) and known - ADDED <= set(raw) <= known
    if not is_ours or raw["schema_version"] != SCHEMA_VERSION:
        raise UserError(
            f"{path} is not a record of schema {SCHEMA_VERSION}. Delete the folder {folder} and run the study again."
        )
    return RunRecord(**raw)


def read_records(study_folder: Path) -> dict[str, RunRecord]:
    """Read every record of a study's folder, by run name, in name order."""
    return {path.parent.name: read_record(path.parent) for path in sorted(study_folder.glob(f"*/{RECORD_FILE}"))}


def read_runs(study_folder: Path) -> tuple[dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    """Read the records and the predictions of every run of a study's folder, by run name."""
    records = read_records(study_folder)
    return records, {run: list(read_predictions(study_folder / run)) for run in records}
