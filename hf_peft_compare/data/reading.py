"""Read all splits of a dataset from the Hub, a local folder or file; columns that are texts are never numbers."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hf_peft_compare.config.identity import data_files
from hf_peft_compare.config.schema import StudyProtocol, local_path
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.hashing import hash_files

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
        return datasets.load_from_disk(str(path))
    if not path.exists():
        return _guarded(config, config.dataset, name=config.dataset_config, revision=config.dataset_revision)
    files = data_files(config.dataset)
    # `datasets` names its copies by the files' paths and times, which an edited file may share with the one before it.
    content = Path(datasets.config.HF_DATASETS_CACHE) / "by_content" / hash_files(files)
    options = {"cache_dir": str(content), **_csv_options(config, files.values())}
    if path.is_file():
        if path.suffix not in FILE_FORMATS:
            raise UserError(
                f"dataset file {path} is {path.suffix or 'without suffix'}; expected {', '.join(FILE_FORMATS)}."
            )
        return _guarded(config, FILE_FORMATS[path.suffix], data_files={config.train_split: str(path)}, **options)
    return _guarded(config, str(path), **options)


def _csv_options(config: StudyProtocol, files: Collection[Path]) -> dict[str, object]:
    """Return the options with which columns of texts, labels and ids are read as written: "01" and "NA" are texts."""
    if {path.suffix for path in files} & set(FILE_FORMATS) != {".csv"}:
        return {}
    settings = vars(config.task_settings)
    named = {value for key, value in settings.items() if key.endswith("_column")} | {config.cluster_column}
    others = set().union(*(_header(path) for path in files if path.suffix == ".csv")) - named
    return {
        "converters": {column: str for column in sorted(filter(None, named))},
        "keep_default_na": False,
        "na_values": {column: MISSING for column in sorted(others)},
    }


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error):
        return []  # which `datasets` reports


def _guarded(config: StudyProtocol, *args: object, **kwargs: object) -> Any:
    """Call `datasets.load_dataset`; raise its errors as a UserError of one line."""
    import datasets

    try:
        return datasets.load_dataset(*args, **{k: v for k, v in kwargs.items() if v is not None})
    except Exception as error:  # datasets raises many types of errors; each is caused by the input
        from hf_peft_compare.utils.hub_errors import explain

        raise UserError(explain("dataset", config.dataset, error)) from None
