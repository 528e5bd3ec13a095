"""Finished runs at work: a run's folder becomes its model again, and several runs predict on one loaded base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from hf_peft_compare.config import RunConfig, parse
from hf_peft_compare.data import FILE_FORMATS
from hf_peft_compare.entries import Example, Method, get_method, get_task
from hf_peft_compare.errors import UserError
from hf_peft_compare.evaluation import generate_texts
from hf_peft_compare.factory import load_base, load_tokenizer
from hf_peft_compare.positions import count_positions_from_mask
from hf_peft_compare.records import MODEL_FOLDER, RunRecord, read_record
from hf_peft_compare.trainables import hash_tensors


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A finished run, ready to use.

    Args:
        record: what was measured.
        config: the resolved config it ran with.
        model: the adapted model in evaluation mode; None for a floor that reads the text alone.
        tokenizer: the model's tokenizer, padding on the left; None where there is no model.
    """

    record: RunRecord
    config: RunConfig
    model: Any
    tokenizer: Any


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A finished run's folder that was found to be whole, its model not loaded yet."""

    folder: Path
    record: RunRecord
    config: RunConfig

    @property
    def method(self) -> Method:
        return get_method(self.config.method["name"])

    @property
    def base(self) -> tuple[Any, ...]:
        """What decides the base model: runs of equal values can share one."""
        config = self.config
        seed = config.seed if config.init == "config" else None  # random weights are those of the run's seed
        names = (config.model_name_or_path, config.model_revision, config.tokenizer_name_or_path, config.init)
        return (*names, repr(sorted(config.architecture.items())), seed)


@dataclass(frozen=True, kw_only=True)
class Base:
    """An untouched base model and its tokenizer."""

    key: tuple[Any, ...]
    model: Any
    tokenizer: Any


def load_run(folder: str | Path) -> LoadedRun:
    """Load a finished run from its folder alone.

    Raises:
        UserError: no finished run there, its model is missing, or its base model cannot be had.
    """
    run = read_finished(Path(folder))
    if run.method.predict is not None:
        return LoadedRun(record=run.record, config=run.config, model=None, tokenizer=None)
    base = _load_base(run)
    return LoadedRun(record=run.record, config=run.config, model=_adapt(run, base), tokenizer=base.tokenizer)


def predict_texts(
    run_folders: Sequence[str | Path], texts: Sequence[str], *, batch_size: int = 8
) -> Iterator[dict[str, str]]:
    """Predict every text with every run, in order; runs that follow one another share a loaded base where they can.

    An adapter is put on the base and taken off again. After a run that changed the base itself, it is loaded anew.

    Returns:
        One {"id", "run", "prediction"} per run and text; the id counts the texts from 0.

    Raises:
        UserError: before anything is loaded, a folder without a finished run, no text, or an empty one.
    """
    runs = [read_finished(Path(folder)) for folder in run_folders]
    sources = [_stripped(text, number) for number, text in enumerate(texts, start=1)]
    if not sources:
        raise UserError("no text to predict from; give --text or --file.")
    return chain.from_iterable(_predict_all(runs, sources, batch_size=batch_size))


def text_column(run_folder: str | Path) -> str:
    """Name the column of texts in the dataset that a finished run was trained on."""
    return read_finished(Path(run_folder)).config.task_settings.article_column


def read_texts(path: str | Path, column: str) -> list[str]:
    """Read texts from a file: a whole .txt, or one column of a .jsonl, .json, .csv or .parquet.

    Raises:
        UserError: no such file, an unknown format, a missing column (those that exist are named).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file {path}; give a .txt, {', '.join(FILE_FORMATS)} file.")
    if path.suffix == ".txt":
        try:
            return [path.read_text(encoding="utf-8")]
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not a text in UTF-8 ({error}).") from None
    if path.suffix not in FILE_FORMATS:
        raise UserError(f"{path} is {path.suffix or 'without suffix'}; expected .txt, {', '.join(FILE_FORMATS)}.")
    dataset = _read_rows(path)
    if column not in dataset.column_names:
        raise UserError(f"{path} has no column {column!r}; it has {', '.join(dataset.column_names)}.")
    return list(dataset[column])


def _read_rows(path: Path) -> Any:
    import datasets

    try:
        return datasets.load_dataset(FILE_FORMATS[path.suffix], data_files=str(path), split="train")
    except Exception as error:  # datasets raises many kinds; each is about the file
        raise UserError(f"{path} cannot be read as {path.suffix}: {type(error).__name__}: {error}") from None


def _stripped(text: Any, number: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"text {number} is {text!r}; expected a text that is not empty.")
    return text.strip()


def read_finished(folder: Path) -> FinishedRun:
    """Read a run's record; raises UserError unless the run is finished and its model stands there."""
    record = read_record(folder)
    if not record.finished:
        raise UserError(f"run {record.study}/{record.run} in {folder} failed ({record.error}); run its study again.")
    run = FinishedRun(folder=folder, record=record, config=parse(RunConfig, record.config, where=str(folder)))
    if run.method.save is not None and not (folder / MODEL_FOLDER).is_dir():
        raise UserError(
            f"run {record.study}/{record.run} has no {folder / MODEL_FOLDER}: its tuned parameters were not kept. "
            f"Delete {folder} and run the study again."
        )
    return run


def _load_base(run: FinishedRun) -> Base:
    """Load a run's base model and tokenizer; random weights are drawn as they were when it trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.config.seed)
        tokenizer = load_tokenizer(run.config)
        model: Any = load_base(run.config)
    count_positions_from_mask(model)
    if torch.cuda.is_available():
        model.to("cuda")
    return Base(key=run.base, model=model.requires_grad_(False), tokenizer=tokenizer)


def _adapt(run: FinishedRun, base: Base) -> Any:
    """Put the run's tuned parameters on a base."""
    if run.method.load is None:
        return base.model.eval()
    with torch.random.fork_rng(devices=[]):  # peft draws an adapter before it reads the saved one
        model = run.method.load(base.model, run.folder / MODEL_FOLDER, run.config.method_settings)
    return model.eval()


def _predict_all(
    runs: Sequence[FinishedRun], texts: Sequence[str], *, batch_size: int
) -> Iterator[list[dict[str, str]]]:
    """Give the predictions run by run, on the base of the run before where it is the same and untouched."""
    base: Base | None = None
    model: Any = None
    untouched = ""
    for run in runs:
        if run.method.predict is not None:
            predictions = [run.method.predict(text, run.config.method_settings) for text in texts]
        else:
            if base is None or base.key != run.base or _take_off(model, base) != untouched:
                base = model = None  # the old one goes before the new one comes
                base = _load_base(run)
                untouched = hash_tensors(dict(base.model.named_parameters())) if len(runs) > 1 else ""
            model = _adapt(run, base)
            predictions = _generate(run, model, base.tokenizer, texts, batch_size=batch_size)
        name = f"{run.record.study}/{run.record.run}"
        yield [{"id": str(i), "run": name, "prediction": text} for i, text in enumerate(predictions)]


def _take_off(model: Any, base: Base) -> str:
    """Take an adapter off its base; gives the hash of what is left, which tells whether the base is untouched."""
    from peft import PeftModel

    if isinstance(model, PeftModel) and hasattr(model.base_model, "unload"):
        tuner: Any = model.base_model
        tuner.unload()
    return hash_tensors(dict(base.model.named_parameters()))


def _generate(run: FinishedRun, model: Any, tokenizer: Any, texts: Sequence[str], *, batch_size: int) -> list[str]:
    """Generate what a run's model writes after each text, its prompt as in the run's own evaluation."""
    config = run.config
    task, settings = get_task(config.task["name"]), config.task_settings
    examples = [Example(id=str(i), source=text, reference="") for i, text in enumerate(texts)]
    prompts = [task.encode_prompt(example, settings, tokenizer, config.max_prompt_length) for example in examples]
    return generate_texts(model, tokenizer, prompts, generation=config.generation, batch_size=batch_size)
