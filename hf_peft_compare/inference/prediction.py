"""Predict with finished runs, several of which can share one loaded base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Floor
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.reading import FILE_FORMATS, read_table
from hf_peft_compare.data.tokenization import tokenize_inputs
from hf_peft_compare.evaluation.prediction import predict
from hf_peft_compare.inference.loading import Base, FinishedRun, adapt, load_fresh_base, read_finished, unload_adapter
from hf_peft_compare.models.trainable_parameters import hash_tensors

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Text: TypeAlias = str | tuple[str, str]


def predict_texts(
    run_folders: Sequence[str | Path], texts: Sequence[Text], *, batch_size: int = 8
) -> Iterator[dict[str, str]]:
    """Predict the same texts with every run; raise UserError as `read_finished` and `predict_each` do."""
    runs = [read_finished(Path(folder)) for folder in run_folders]
    return predict_each([(run, texts) for run in runs], batch_size=batch_size)


def predict_each(
    requests: Sequence[tuple[FinishedRun, Sequence[Text]]], *, batch_size: int = 8
) -> Iterator[dict[str, str]]:
    """Predict each run's own texts, in order; consecutive runs share a loaded base if possible.

    The runs may belong to different studies and tasks, as long as they have the same base. An adapter is loaded onto
    the base and removed again. After a run that changed the base itself, the base is reloaded.

    Args:
        requests: each run and its texts, which are pairs if the run reads pairs.

    Returns:
        One {"id", "run", "prediction"} per run and text; the id counts the texts from 0. If a run parses generated text
        as a label, "output" is the generated text.

    Raises:
        UserError: before anything is loaded, if there is no text, a text is empty, or a run that reads pairs gets
            single texts.
    """
    todo = []
    for run, texts in requests:
        examples = [_example(text, number) for number, text in enumerate(texts)]
        if not examples:
            raise UserError("there is no text to predict; pass --text or --file.")
        _check_number(run, examples[0])
        todo.append((run, examples))
    return chain.from_iterable(_predict_all(todo, batch_size=batch_size))


def _check_number(run: FinishedRun, example: Example) -> None:
    num_texts = 1 if example.source_pair is None else 2
    if num_texts != len(run.columns):
        raise UserError(
            f"run {run.name} reads {' and '.join(run.columns)}, but got {num_texts} text(s) per example; pass a --file "
            f"with {'this column' if len(run.columns) == 1 else 'these columns'}."
        )


def read_texts(path: str | Path, columns: Sequence[str]) -> list[Any]:
    """Read texts from a file: a .txt as one text, or one column (two for pairs) of a .jsonl, .json, .csv or .parquet.

    Raises:
        UserError: the file is missing or cannot be read, or a column is missing (the existing ones are listed).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"file {path} does not exist; pass a .txt, {', '.join(FILE_FORMATS)} file.")
    if path.suffix == ".txt":
        try:
            return [path.read_text(encoding="utf-8")]
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text ({error}).") from None
    if path.suffix not in FILE_FORMATS:
        raise UserError(f"{path} is {path.suffix or 'without suffix'}; expected .txt, {', '.join(FILE_FORMATS)}.")
    dataset = read_table(path)
    for column in columns:
        if column not in dataset.column_names:
            raise UserError(f"{path} has no column {column!r}; it has {', '.join(dataset.column_names)}.")
    return list(dataset[columns[0]]) if len(columns) == 1 else list(zip(*(dataset[c] for c in columns), strict=True))


def _example(text: Any, number: int) -> Example:
    texts = list(text) if isinstance(text, tuple) else [text]
    for one in texts:
        if not isinstance(one, str) or not one.strip():
            raise UserError(f"text {number + 1} is {one!r}; expected a non-empty text.")
    return Example(id=str(number), source=texts[0], source_pair=texts[1] if len(texts) > 1 else None, reference="")


def _predict_all(
    todo: Sequence[tuple[FinishedRun, Sequence[Example]]], *, batch_size: int
) -> Iterator[list[dict[str, str]]]:
    """Yield the predictions run by run, on the previous run's base if it is the same and unchanged."""
    base: Base | None = None
    model: Any = None
    untouched = ""
    for run, examples in todo:
        if isinstance(method := run.config.method_type, Floor):
            answer = method.predictor(run.config.method_settings, run.train)
            predictions = [{"prediction": answer(example.source)} for example in examples]
        else:
            if base is None or base.key != run.base or unload_adapter(model, base) != untouched:
                base = model = None  # frees the old base before the new one is loaded
                base = load_fresh_base(run)
                untouched = hash_tensors(dict(base.model.named_parameters())) if len(todo) > 1 else ""
            model = adapt(run, base)
            predictions = _predict(run, model, base.tokenizer, examples, batch_size=batch_size)
        yield [{"id": e.id, "run": run.name, **p} for e, p in zip(examples, predictions, strict=True)]


def _predict(
    run: FinishedRun,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    batch_size: int,
) -> list[dict[str, str]]:
    """Return a run's predictions, with the same inputs as in the run's own evaluation."""
    inputs = tokenize_inputs(run.config, format_of(run.config, run.train), examples, tokenizer)
    predicted = predict(model, tokenizer, inputs, run.config, labels=run.labels, batch_size=batch_size)
    return [
        {"prediction": p.text} if p.answer is None else {"prediction": p.answer, "output": p.text} for p in predicted
    ]
