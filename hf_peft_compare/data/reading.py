"""Read all splits of a dataset from the Hub, a local folder or file; columns that are texts are never numbers."""

from __future__ import annotations

import csv
import glob
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config.identity import data_files
from hf_peft_compare.config.protocol import StudyProtocol, local_path
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.columns import named_columns
from hf_peft_compare.utils.hashing import hash_files

if TYPE_CHECKING:
    from datasets import Dataset

FILE_FORMATS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"]  # values in columns that are not texts


def load_raw(config: StudyProtocol) -> Any:
    """Load all splits of a local or Hub dataset, as a dictionary by name."""
    import datasets

    task = config.task_type
    if (loaded := task.load(config)) is not None:
        return loaded
    path = local_path(config.dataset)
    if path.is_dir() and (path / "dataset_dict.json").is_file():
        return _guarded(config.dataset, datasets.load_from_disk, str(path))
    if not path.exists():
        hub = {"name": config.dataset_config, "revision": config.dataset_revision}
        return _guarded(config.dataset, datasets.load_dataset, config.dataset, **hub)
    files = data_files(config.dataset)
    # `datasets` names its copies by the files' paths and times, which an edited file may share with the one before it.
    content = Path(datasets.config.HF_DATASETS_CACHE) / "by_content" / hash_files(files)
    read = [file for file in files.values() if file.suffix in FILE_FORMATS]
    for file in read:
        _check_text(file)
    options = {"cache_dir": str(content), **_csv_options(config, files.values())}
    try:
        return _load_files(config, path, options)
    except UserError:
        for file in read if path.is_dir() else []:  # the libraries do not say which one it is
            _load_files(replace(config, dataset=str(file)), file, options)
        raise


def read_table(path: Path) -> Dataset:
    """Read a file of rows; every cell of a CSV is text.

    Raises:
        UserError: the file is missing, has an unknown suffix, or cannot be read.
    """
    import datasets

    if not path.is_file():
        raise UserError(f"file {path} does not exist; expected {', '.join(FILE_FORMATS)}.")
    if path.suffix not in FILE_FORMATS:
        raise UserError(f"{path} is {path.suffix or 'without suffix'}; expected {', '.join(FILE_FORMATS)}.")
    _check_text(path)
    cells: dict[str, object] = {}
    if path.suffix == ".csv":
        cells = {"converters": dict.fromkeys(_header(path), str), "keep_default_na": False}
    content = Path(datasets.config.HF_DATASETS_CACHE) / "by_content" / hash_files({path.name: path})
    files = {"data_files": glob.escape(str(path)), "cache_dir": str(content), "split": "train"}
    table: Dataset = _guarded(str(path), datasets.load_dataset, FILE_FORMATS[path.suffix], **files, **cells)
    return table


def _load_files(config: StudyProtocol, path: Path, options: Mapping[str, object]) -> Any:
    import datasets

    if path.is_file():
        if path.suffix not in FILE_FORMATS:
            raise UserError(
                f"dataset file {path} is {path.suffix or 'without suffix'}; expected {', '.join(FILE_FORMATS)}."
            )
        files = {config.train_split: glob.escape(str(path))}
        return _guarded(config.dataset, datasets.load_dataset, FILE_FORMATS[path.suffix], data_files=files, **options)
    return _guarded(config.dataset, datasets.load_dataset, str(path), **options)


def _check_text(path: Path) -> None:
    """Raise UserError for an empty file, and for a text that is not UTF-8, which Arrow reads as if it was."""
    if not path.stat().st_size:
        raise UserError(f"dataset file {path} is empty; expected rows.")
    if path.suffix == ".parquet":
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                where = f"dataset file {path}, line {number}"
                raise UserError(f"{where}: byte 0x{line[error.start]:02x} is not UTF-8. Save it as UTF-8.") from None


def _csv_options(config: StudyProtocol, files: Collection[Path]) -> dict[str, object]:
    """Return the options with which columns of texts, labels and ids are read as written: "01" and "NA" are texts."""
    if {path.suffix for path in files} & set(FILE_FORMATS) != {".csv"}:
        return {}
    named = named_columns(config.task_settings) | {config.cluster_column}
    others = set().union(*(_header(path) for path in files if path.suffix == ".csv")) - named
    return {
        "converters": {column: str for column in sorted(filter(None, named))},
        "keep_default_na": False,
        "na_values": {column: MISSING for column in sorted(others)},
    }


def _header(path: Path) -> list[str]:
    """Return the names of the columns; raise UserError if the first row has more, which pandas would shift."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header, first = next(reader, []), next(reader, [])
    except csv.Error:
        return []  # which `datasets` reports
    if len(first) > len(header):
        raise UserError(
            f"dataset file {path} names {len(header)} columns, but its first row has {len(first)}; name each column."
        )
    return header


def _guarded(source: str, load: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:
    """Call a function of `datasets`; raise its errors as a UserError of one line that names the dataset or file."""
    try:
        return load(*args, **{k: v for k, v in kwargs.items() if v is not None})
    except Exception as error:  # datasets raises many types of errors; each is caused by the input
        from hf_peft_compare.utils.hub_errors import explain

        raise UserError(explain("dataset", source, error)) from None
