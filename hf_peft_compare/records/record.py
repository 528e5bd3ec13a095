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

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hf_peft_compare.entries import get_method
from hf_peft_compare.errors import UserError

SCHEMA_VERSION = 2
ADDED = {"tuning", "costs"}  # fields that the first records of this schema do not have
RECORD_FILE = "record.json"
PREDICTIONS_FILE = "predictions.jsonl"
MODEL_FOLDER = "model"
TRUNK_CACHE_FOLDER = "cache/trunk"  # in a study's folder, beside its runs
CHECKPOINTS_FOLDER = "checkpoints"
LOG_FILE = "log.txt"
PROGRESS_FILE = "progress.json"
CONFIG_HASH_FILE = "config_hash"


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
        costs: what is easily forgotten, see `hf_peft_compare.costs`: "checkpoint_bytes",
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


def run_name(*, row: str, seed: int, trial: int | None = None) -> str:
    """Give the folder name of a run, or of a trial of tuning, a pure function of the run."""
    return f"{row}-seed{seed}" if trial is None else f"{row}-trial{trial:02d}"


def folder_of_study(folder: Path, *, trial: int | None) -> Path:
    """Give the folder of the study that a run's folder stands in; trials stand one folder deeper."""
    return folder.parent if trial is None else folder.parents[1]


def identity(config: Any, origins: Mapping[str, str]) -> dict[str, Any]:
    """Give the fields of a record that a run's resolved config tells."""
    method = get_method(config.method["name"])
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


def hash_json(value: Any) -> str:
    """Hash a JSON value; equal values have equal hashes whatever their key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, whole, whenever the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        # A lone surrogate is written as \udXXX, which is what JSON calls it.
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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


def write_predictions(rows: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Write one JSON line per test example (id, prediction, reference, scores), atomically."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text_atomically(folder / PREDICTIONS_FILE, text)


def read_predictions(folder: Path) -> Iterator[dict[str, Any]]:
    """Read a run's predictions, one dictionary per test example; nothing where the file is missing."""
    path = folder / PREDICTIONS_FILE
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path}, line {number}, is cut short ({error}). Delete {folder} and run the study again."
                ) from None


def read_records(study_folder: Path) -> dict[str, RunRecord]:
    """Read every record of a study's folder, by run name, in name order."""
    return {path.parent.name: read_record(path.parent) for path in sorted(study_folder.glob(f"*/{RECORD_FILE}"))}
