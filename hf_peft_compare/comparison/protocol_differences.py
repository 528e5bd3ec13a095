"""Settings that compared runs should share but do not: data, splits, base model, versions, devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hf_peft_compare.config.protocol import ROW_PROTOCOL
from hf_peft_compare.records.record import RunRecord

# Left out: settings that a method may set in its study, and settings derived from those listed here.
PROTOCOL = (
    "task",
    "dataset",
    "dataset_config",
    "dataset_revision",
    "train_split",
    "validation_split",
    "test_split",
    "num_train_samples",
    "num_validation_samples",
    "num_test_samples",
    "data_seed",
    "model_name_or_path",
    "model_revision",
    "gguf_file",
    "init",
    "architecture",
    "max_length",
    "prompt_format",
    "system_prompt",
    "generation",
)
MOST_RUNS = 3


def describe_disagreements(records: Mapping[str, RunRecord]) -> Iterator[str]:
    """Yield a sentence for each setting, data fingerprint, version or device in which finished runs differ."""
    facts = {run: _facts(record) for run, record in records.items() if record.finished}
    for key in dict.fromkeys(key for known in facts.values() for key in known):
        runs_by_value: dict[str, list[str]] = {}
        for run, known in facts.items():
            if known.get(key) is not None:
                runs_by_value.setdefault(str(known[key]), []).append(run)
        if len(runs_by_value) > 1:
            yield f"Runs differ in {key}: {'; '.join(map(_describe_value, runs_by_value.items()))}."


def _facts(record: RunRecord) -> dict[str, Any]:
    provenance, own = record.provenance, _own_settings(record)
    teacher = record.config.get("labels_from")
    size = f" of {own['num_train_samples']} samples" if "num_train_samples" in own else ""
    labels = f" with labels_from {teacher}" if teacher else ""
    validated = isinstance(teacher, Mapping) and teacher.get("validation") == "teacher"
    choices = {"train": size + labels, "validation": labels if validated else ""}
    return {
        **{key: record.config.get(key) for key in PROTOCOL if key not in own},
        "labels_from": None if "labels_from" in own else teacher or "none",  # a row that trains nothing has no say
        **{f"data {name}{choices.get(name, '')}": value for name, value in provenance.data_fingerprint.items()},
        **_named("version of", provenance.versions),
        "version of hf_peft_compare": provenance.hf_peft_compare,
        "device": provenance.device,
        "processor": provenance.processor,
        "GPU driver": provenance.gpu_driver,
        "CPU threads": provenance.num_threads,
        "number of runs side by side": provenance.side_by_side,
        "training precision": provenance.precision
        if record.parameters and record.parameters.trainable_params
        else None,
    }


def _own_settings(record: RunRecord) -> dict[str, Any]:
    """Return the settings that this row overrides in the study file, by its grid, its own settings or its method."""
    layers = record.config_origins.items()
    chosen = [
        *(record.config.get("grid") or {}),
        *(key for key, layer in layers if layer in ("study method", "method")),
    ]
    own = {key.split(".")[0] for key in chosen}
    return {key: record.config.get(key) for key in ROW_PROTOCOL if key in own}


def _named(what: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"{what} {key}": value for key, value in values.items()}


def _describe_value(found: tuple[str, list[str]]) -> str:
    value, runs = found
    more = f" and {len(runs) - MOST_RUNS} more" if len(runs) > MOST_RUNS else ""
    return f"{value} ({', '.join(runs[:MOST_RUNS])}{more})"
