"""Detect changes since a run began in everything that determines its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hf_peft_compare.config.identity import DATA, LABELS, METHOD_FILES, Identity, identity_of, read_identity
from hf_peft_compare.config.layers import merge
from hf_peft_compare.config.protocol import StudyProtocol
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method, get_task
from hf_peft_compare.core.settings import defaults_of, parse
from hf_peft_compare.core.task import Task
from hf_peft_compare.records.record import RunRecord, read_record
from hf_peft_compare.records.run_folder import RECORD_FILE
from hf_peft_compare.utils.hashing import hash_json

SETTINGS = "settings"
_FINGERPRINTS: dict[str, dict[str, str]] = {}  # of the examples loaded so far, by what determines them


def changes_since(config: RunConfig, folder: Path) -> list[str]:
    """Return what has changed since the run in a folder began: SETTINGS, or names of inputs; empty: nothing.

    An input is compared if it was recorded and still exists: a finished run needs neither its data nor its base.
    """
    record = read_record(folder) if (folder / RECORD_FILE).exists() else None
    begun = read_identity(folder)
    if record is None and begun is None:
        return []
    if _hash_then(record, begun) not in (config.hash, config.hash_of_all):
        return [SETTINGS]
    before = None if begun is None else begun.inputs
    if before is None and record is not None:
        before = record.provenance.inputs
    now = identity_of(config, begun).inputs or {}
    if before is not None and METHOD_FILES not in before:
        now.pop(METHOD_FILES, None)  # earlier versions did not record them
    changed = [name for name, content in now.items() if before is not None and before.get(name) != content]
    files = [name for name in (DATA, LABELS) if name in (now if before is None else changed)]
    if record is not None and files:
        changed = [name for name in changed if name not in files]
        content = hash_json([now.get(DATA), now.get(LABELS)])
        changed += files if _has_other_examples(config, record, content, files_changed=before is not None) else []
    return changed


def _hash_then(record: RunRecord | None, begun: Identity | None) -> str:
    """Return the hash of the settings that a run began with.

    A record's own settings are rehashed, so that settings added to the package since then do not make it another run.
    """
    if record is None:
        assert begun is not None
        return begun.config
    try:
        return _with_defaults(record.config).hash
    except (UserError, KeyError):  # settings unknown to this version, or a missing plugin
        return record.config_hash


def _with_defaults(settings: Mapping[str, Any]) -> RunConfig:
    """Return the config of a record; settings that its method and task have gained since get their defaults."""
    method, task = get_method(settings["method"]["name"]), get_task(settings["task"]["name"])
    defaults = {"method": defaults_of(method.settings), "task": defaults_of(task.settings)}
    return parse(RunConfig, merge(defaults, settings), where="record")


def _has_other_examples(config: RunConfig, record: RunRecord, content: str, *, files_changed: bool) -> bool:
    """Return whether data or labels whose files changed, or were not hashed then, give other examples than a record's.

    Changed files may hold the same examples: an adjacent note was edited, an unused column was added, or the teacher
    has labeled further texts. Examples of a task that loads more than a table, such as images, only name files, which
    proves nothing about their content.
    """
    then = record.provenance.data_fingerprint
    if not then or (files_changed and type(config.task_type).load is not Task.load):
        return files_changed
    try:
        return _fingerprint(config, content) != then
    except UserError:
        return True  # the preflight check reports what is wrong with them


def _fingerprint(config: RunConfig, content: str) -> dict[str, str]:
    """Return the fingerprint of a run's examples, which are loaded once for all runs that share them."""
    from hf_peft_compare.data.splits import fingerprint, load_examples

    shared = [f.name for f in fields(StudyProtocol) if f.name not in ("training", "generation", "tracking")]
    settings = asdict(config)
    key = hash_json([content, {name: settings[name] for name in shared}])
    if key not in _FINGERPRINTS:
        _FINGERPRINTS[key] = fingerprint(load_examples(config))
    return _FINGERPRINTS[key]
