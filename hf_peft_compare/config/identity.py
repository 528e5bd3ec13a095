"""A run's identity, which determines its scores: its settings, and the content of the local inputs they name.

Local inputs, whose content may change while their name stays the same, are a local dataset, a teacher's labels, a local
base model with its tokenizer, files that a method reads, and the code of plugins. Anything from the Hub is identified
by its name and revision alone, so that no network is needed to find out whether a run is finished.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hf_peft_compare.config.protocol import EMBEDDED, local_path
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import is_foreign, source_of
from hf_peft_compare.core.settings import parse
from hf_peft_compare.quickstart import BASE_FOLDER
from hf_peft_compare.records.run_folder import CONFIG_HASH_FILE, IDENTITY_FILE, DamagedRun
from hf_peft_compare.utils.files import write_text_atomically
from hf_peft_compare.utils.hashing import hash_files, hash_json, stamp_files
from hf_peft_compare.utils.reading import read_json, read_text

DATA, LABELS, BASE_MODEL, TOKENIZER = "data set", "teacher's labels", "base model", "tokenizer"
TASK_FILES, METHOD_FILES = "task files of lm_eval", "method's files"
CACHED_INDICES = "cache-"  # prefix of the files that `datasets` writes next to a dataset when shuffling
WEIGHTS = (".safetensors", ".bin")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything that determines a run's scores, as of the start of the run.

    Args:
        config: hash of the settings, see `RunConfig.hash`.
        inputs: {local input: hash of its content}; None: unknown, as in runs of older versions.
        stamps: {input: hash of its files' names, sizes and times}; files with an unchanged stamp are not read again.
    """

    config: str
    inputs: dict[str, str] | None
    stamps: dict[str, str] = field(default_factory=dict)


def identity_of(config: RunConfig, known: Identity | None = None) -> Identity:
    """Return the identity of a run that starts now.

    Args:
        known: an earlier identity of the run; files whose stamps are unchanged are not read again.
    """
    files = {DATA: data_files(config.dataset), LABELS: _label_files(config), **_model_files_by_input(config)}
    paths = map(Path, config.method_type.files(config.method_settings))
    files[METHOD_FILES] = {str(path): path for path in paths if path.is_file()}
    if config.lm_eval and config.lm_eval_include_path is not None:
        files[TASK_FILES] = data_files(config.lm_eval_include_path)
    contents, stamps = _contents(files, known)
    return Identity(config=config.hash, inputs={**contents, **dict(_code_by_input(config))}, stamps=stamps)


def changed_models(config: RunConfig, begun: Identity) -> list[str]:
    """Return the local models of a run that have changed since the run started."""
    contents, _ = _contents(_model_files_by_input(config), begun)
    before = begun.inputs or {}
    return [name for name, content in contents.items() if before.get(name, content) != content]


def _contents(files: Mapping[str, Mapping[str, Path]], known: Identity | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the content hash and the stamp of each input that has files."""
    stamps = {name: stamp_files(found) for name, found in files.items() if found}
    before = {} if known is None or known.inputs is None else known.inputs
    same = {name for name, stamp in stamps.items() if known is not None and known.stamps.get(name) == stamp}
    return {name: before[name] if name in same else hash_files(files[name]) for name in stamps}, stamps


def read_identity(folder: Path) -> Identity | None:
    """Return the identity of the run that was started in a folder; None if there is none.

    Raises:
        DamagedRun: the identity file cannot be read.
    """
    path, first_version = folder / IDENTITY_FILE, folder / CONFIG_HASH_FILE
    try:
        if path.exists():
            return parse(Identity, read_json(path), where=str(path), if_missing="")
        return Identity(config=read_text(first_version), inputs=None) if first_version.exists() else None
    except UserError as error:
        raise DamagedRun(error, folder) from None


def write_identity(identity: Identity, folder: Path) -> None:
    """Write the identity of a run into its folder, atomically."""
    write_text_atomically(folder / IDENTITY_FILE, json.dumps(asdict(identity), indent=1) + "\n")


def _model_files_by_input(config: RunConfig) -> dict[str, dict[str, Path]]:
    """Return the local files of the models that a run loads: {input: {file name: path}}."""
    method = config.method_type
    if not method.uses_model:
        return {}
    found = {BASE_MODEL: _base_files(config)}
    if config.tokenizer_name_or_path is not None:
        found[TOKENIZER] = _model_files(config.tokenizer_name_or_path, WEIGHTS)
    return {**found, **{f"model in {name}": _model_files(name) for name in method.other_models(config.method_settings)}}


def _base_files(config: RunConfig) -> dict[str, Path]:
    """Return the local files that make up a run's base: a GGUF file is all of it."""
    if config.gguf_file is None:
        return _model_files(config.model_name_or_path, WEIGHTS if config.init == "config" else ())
    path = Path(config.model_name_or_path, config.gguf_file)
    return {config.gguf_file: path} if path.is_file() else {}


def data_files(dataset: str) -> dict[str, Path]:
    """Return all files of a dataset, except hidden ones; for a generated dataset, the files of its generator."""
    if dataset == EMBEDDED:
        return {path.name: path for path in BASE_FOLDER.parent.glob("*.py")}
    root = local_path(dataset)
    if root.is_file():
        return {root.name: root}
    found = {}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        paths = [Path(folder, name) for name in names if not name.startswith((".", CACHED_INDICES))]
        found.update({str(path.relative_to(root)): path for path in paths if path.is_file()})
    return found


def _label_files(config: RunConfig) -> dict[str, Path]:
    """Return the file of a teacher's labels, if it is there."""
    found = config.labels_from.found if config.labels_from is not None else None
    return {} if found is None else {found.name: found}


def _model_files(name: str, skipped: tuple[str, ...] = ()) -> dict[str, Path]:
    """Return the files of a model folder, except hidden files, its card and files with a skipped suffix."""
    root = BASE_FOLDER if name == EMBEDDED else Path(name)
    if not root.is_dir():
        return {}
    kept = (path for path in root.iterdir() if path.is_file() and path.suffix not in (".md", *skipped))
    return {path.name: path for path in kept if not path.name.startswith(".")}


def _code_by_input(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the code hash of each plugin that the run uses; code whose source is unavailable is not compared."""
    entries: dict[str, object] = {
        f"method {config.method_type.name}": config.method_type,
        f"task {config.task_type.name}": config.task_type,
        **{f"metric {metric.name}": metric for metric in config.metrics},
    }
    for name, entry in entries.items():
        if is_foreign(entry):
            with contextlib.suppress(OSError, TypeError):
                yield f"code of {name}", hash_json(source_of(entry))
