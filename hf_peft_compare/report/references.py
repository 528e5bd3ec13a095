"""Reference values: whether the runs they stand beside are those of the study's file, and what ran instead."""

from __future__ import annotations

from collections.abc import Iterator

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.config.protocol import BASE
from hf_peft_compare.config.schema import SCORES_DO_NOT_DEPEND_ON
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report.blocks import Material

CHANGING = ("command line", "tuned")  # layers above the study's file
LM_EVAL = {"lm_eval", "lm_eval_limit", "lm_eval_include_path"}
IRRELEVANT = SCORES_DO_NOT_DEPEND_ON | LM_EVAL | {"attn_implementation", "training.trunk_cache", "training.compile"}
SUBJECTS = {
    "model": (*BASE, "init"),
    "data": ("dataset", "dataset_config", "dataset_revision", "train_split", "validation_split", "test_split"),
    "task": ("task",),
    "sizes": ("num_train_samples", "num_validation_samples", "num_test_samples", "balanced_train_samples", "data_seed"),
    "length": ("max_length",),
    "learning rate": ("training.learning_rate",),
    "training": ("training",),
    "generation": ("generation",),
    "method": ("method",),
}


def changed_subjects(record: RunRecord | None) -> list[str]:
    """Return what a run has otherwise than its study's file, such as "model" and "data"; [] without a record."""
    if record is None:
        return []
    changed = [key for key, layer in record.config_origins.items() if layer in CHANGING and key not in IRRELEVANT]
    found = {_subject(key) for key in changed}
    return [subject for subject in SUBJECTS if subject in found]


def _subject(key: str) -> str:
    parts = key.split(".")
    prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]  # the longest first
    return next((name for prefix in prefixes for name, keys in SUBJECTS.items() if prefix in keys), "method")


def reference_value(material: Material, row: str, key: str) -> float | None:
    """Return the reference value of a row's figure; None without one."""
    references = material.study.references
    return references.rows.get(row, {}).get(key) if references else None


def write_reference(material: Material, text: str) -> str:
    """Return a reference value's text; one that is only asked for, and no result, is a lower bound."""
    references = material.study.references
    return f"ref. {'≥ ' if references and references.minimum else ''}{text}"


def describe_not_comparable(material: Material, row: MethodRow) -> str:
    """Return why a row's reference values are not comparable with it; an empty text if they are, or there are none."""
    references = material.study.references
    if references is None or not references.rows.get(row.row):
        return ""
    other = [f"model {references.model}"] if references.model else []
    different = other + [subject for subject in changed_subjects(row.record) if not (other and subject == "model")]
    return f"ref. not comparable: {', '.join(different)}" if different else ""


def title_of(material: Material) -> str:
    """Return the study's title, with the model and the data that ran if they are not those of its file."""
    return material.study.title + "".join(_what_ran(material))


def _what_ran(material: Material) -> Iterator[str]:
    records = [record for record in material.records.values() if record.card]
    if not any({"model", "data"} & set(changed_subjects(record)) for record in records):
        return
    models, data = (
        ", ".join(dict.fromkeys(str(record.config.get(key, "?")) for record in records))
        for key in ("model_name_or_path", "dataset")
    )
    yield f" — here: {models} on {data}"
