"""Finished runs at work: a run's folder becomes its model again, and several runs predict on one loaded base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from hf_peft_compare.config import RunConfig, parse
from hf_peft_compare.data import FILE_FORMATS, load_examples
from hf_peft_compare.entries import Example, Method, get_method, get_task
from hf_peft_compare.errors import UserError
from hf_peft_compare.evaluation import generate_texts, likeliest, score_classes, score_completions
from hf_peft_compare.factory import load_base, load_tokenizer, prepare_base
from hf_peft_compare.formats import format_of
from hf_peft_compare.heads import head_of
from hf_peft_compare.prompts.prompt_tuning_model import class_head
from hf_peft_compare.quantisation import quantization_of
from hf_peft_compare.records import MODEL_FOLDER, RunRecord, read_record
from hf_peft_compare.trainables import hash_tensors

Text: TypeAlias = str | tuple[str, str]


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
        """What decides the base model: runs of equal values can share one.

        A class head comes with the run that trained it, so how many classes it has counts, and not which.
        """
        config = self.config
        seed = config.seed if config.init == "config" else None  # random weights are those of the run's seed
        names = (config.model_name_or_path, config.model_revision, config.tokenizer_name_or_path, config.init)
        num_labels = None if self.labels is None else len(self.labels)
        loaded_as = (repr(quantization_of(config)), repr(sorted(config.architecture.items())), seed)
        return (*names, *loaded_as, head_of(config).name, num_labels)

    @property
    def labels(self) -> list[str] | None:
        """The classes of the run's class head, in its order; None: the head writes text."""
        task = get_task(self.config.task["name"])
        if head_of(self.config).generates or task.labels is None:
            return None
        return list(self.record.provenance.get("labels") or task.labels(self.config.task_settings))

    @property
    def train(self) -> list[Example]:
        """The train examples, where the method reads them when it predicts."""
        return load_examples(self.config)["train"] if self.method.reads_train else []


@dataclass(frozen=True, kw_only=True)
class Base:
    """An untouched base model, its tokenizer, and a copy of its class head, which runs put their own in place of."""

    key: tuple[Any, ...]
    model: Any
    tokenizer: Any
    head: Mapping[str, Tensor]


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
    run_folders: Sequence[str | Path], texts: Sequence[Text], *, batch_size: int = 8
) -> Iterator[dict[str, str]]:
    """Predict the same texts with every run; see `predict_each`."""
    return predict_each([(folder, texts) for folder in run_folders], batch_size=batch_size)


def predict_each(
    asked: Sequence[tuple[str | Path, Sequence[Text]]], *, batch_size: int = 8
) -> Iterator[dict[str, str]]:
    """Predict each run's own texts, in order; runs that follow one another share a loaded base where they can.

    The runs may be of different studies and tasks: what they share is the base.

    Args:
        asked: each run's folder and its texts: pairs of them where it reads pairs.

    An adapter is put on the base and taken off again. After a run that changed the base itself, it is loaded anew.

    Returns:
        One {"id", "run", "prediction"} per run and text; the id counts the texts from 0. Where what a run generates is
        read as a label, "output" is the text as it was.

    Raises:
        UserError: before anything is loaded, a folder without a finished run, no text, an empty one, or one text where
            a run reads two.
    """
    todo = []
    for folder, texts in asked:
        run = read_finished(Path(folder))
        examples = [_example(text, number) for number, text in enumerate(texts)]
        if not examples:
            raise UserError("no text to predict from; give --text or --file.")
        _check_number(run, examples[0])
        todo.append((run, examples))
    return chain.from_iterable(_predict_all(todo, batch_size=batch_size))


def text_columns(run_folder: str | Path) -> list[str]:
    """Name the columns of texts, one or two, in the dataset that a finished run was trained on."""
    config = read_finished(Path(run_folder)).config
    return list(get_task(config.task["name"]).text_columns(config.task_settings))


def _check_number(run: FinishedRun, example: Example) -> None:
    columns = get_task(run.config.task["name"]).text_columns(run.config.task_settings)
    came = 1 if example.source_pair is None else 2
    if came != len(columns):
        name = f"{run.record.study}/{run.record.run}"
        raise UserError(
            f"run {name} reads {' and '.join(columns)}, and {came} text(s) came each time; give a --file with "
            f"{'this column' if len(columns) == 1 else 'these columns'}."
        )


def read_texts(path: str | Path, columns: Sequence[str]) -> list[Any]:
    """Read texts from a file: a whole .txt, or one column of a .jsonl, .json, .csv or .parquet; pairs from two columns.

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
    for column in columns:
        if column not in dataset.column_names:
            raise UserError(f"{path} has no column {column!r}; it has {', '.join(dataset.column_names)}.")
    return list(dataset[columns[0]]) if len(columns) == 1 else list(zip(*(dataset[c] for c in columns), strict=True))


def _read_rows(path: Path) -> Any:
    import datasets

    try:
        return datasets.load_dataset(FILE_FORMATS[path.suffix], data_files=str(path), split="train")
    except Exception as error:  # datasets raises many kinds; each is about the file
        raise UserError(f"{path} cannot be read as {path.suffix}: {type(error).__name__}: {error}") from None


def _example(text: Any, number: int) -> Example:
    texts = list(text) if isinstance(text, tuple) else [text]
    for one in texts:
        if not isinstance(one, str) or not one.strip():
            raise UserError(f"text {number + 1} is {one!r}; expected a text that is not empty.")
    return Example(id=str(number), source=texts[0], source_pair=texts[1] if len(texts) > 1 else None, reference="")


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
    prepare_base(model, tokenizer)
    if torch.cuda.is_available():
        model.to("cuda")
    head = {name: parameter.detach().clone() for name, parameter in class_head(model).items()}
    return Base(key=run.base, model=model.requires_grad_(False), tokenizer=tokenizer, head=head)


def _adapt(run: FinishedRun, base: Base) -> Any:
    """Put the run's tuned parameters on a base."""
    if run.method.load is None:
        return base.model.eval()
    with torch.random.fork_rng(devices=[]):  # peft draws an adapter before it reads the saved one
        model = run.method.load(base.model, run.folder / MODEL_FOLDER, run.config.method_settings)
    return model.eval()


def _predict_all(
    todo: Sequence[tuple[FinishedRun, Sequence[Example]]], *, batch_size: int
) -> Iterator[list[dict[str, str]]]:
    """Give the predictions run by run, on the base of the run before where it is the same and untouched."""
    base: Base | None = None
    model: Any = None
    untouched = ""
    for run, examples in todo:
        if run.method.predict is not None:
            predict = run.method.predict(run.config.method_settings, run.train)
            predictions = [{"prediction": predict(example.source)} for example in examples]
        else:
            if base is None or base.key != run.base or _take_off(model, base) != untouched:
                base = model = None  # the old one goes before the new one comes
                base = _load_base(run)
                untouched = hash_tensors(dict(base.model.named_parameters())) if len(todo) > 1 else ""
            model = _adapt(run, base)
            predictions = _predict(run, model, base.tokenizer, examples, batch_size=batch_size)
        name = f"{run.record.study}/{run.record.run}"
        yield [{"id": e.id, "run": name, **p} for e, p in zip(examples, predictions, strict=True)]


def _take_off(model: Any, base: Base) -> str:
    """Take an adapter off its base; gives the hash of what is left, which tells whether the base is untouched."""
    from peft import PeftModel
    from peft.utils import ModulesToSaveWrapper

    if isinstance(model, PeftModel) and hasattr(model.base_model, "unload"):
        tuner: Any = model.base_model
        tuner.unload()
    for name, module in list(base.model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):  # peft's prompt learning has no way to take its class head off
            base.model.set_submodule(name, module.original_module)
    with torch.no_grad():
        for name, parameter in class_head(base.model).items():
            parameter.copy_(base.head[name])
    return hash_tensors(dict(base.model.named_parameters()))


def _predict(
    run: FinishedRun, model: Any, tokenizer: Any, examples: Sequence[Example], *, batch_size: int
) -> list[dict[str, str]]:
    """Give what a run's model says of each example, asked as in the run's own evaluation."""
    config, form, head = run.config, format_of(run.config, run.train), head_of(run.config)
    if not head.generates:
        rows = [form.encode(example, tokenizer, config.max_text_length) for example in examples]
        scored = score_classes(model, rows, collate=head.collator(tokenizer), batch_size=batch_size)
        assert run.labels is not None, "a head that tells classes has their names"
        return [{"prediction": run.labels[predicted]} for _, _, predicted in scored]
    if answers := form.candidates:
        asked = [replace(example, reference=answer) for example in examples for answer in answers]
        rows = [form.encode(example, tokenizer, config.max_text_length) for example in asked]
        losses = score_completions(model, rows, pad_token_id=tokenizer.pad_token_id, batch_size=batch_size)
        return [{"prediction": answers[i]} for i in likeliest(losses, len(answers))]
    assert form.encode_prompt is not None, "a head that generates has prompts"
    prompts = [form.encode_prompt(example, tokenizer, config.max_prompt_length) for example in examples]
    torch.manual_seed(config.seed)  # as in the run, where tokens are drawn
    texts = generate_texts(model, tokenizer, prompts, generation=config.generation, batch_size=batch_size)
    return [{"prediction": form.read(text), "output": text} if form.read else {"prediction": text} for text in texts]
