"""Checks of examples and their answers: unique ids, metrics that can score them, texts in two splits; and clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hf_peft_compare.core.errors import UserError, shorten
from hf_peft_compare.core.registry import is_foreign
from hf_peft_compare.core.task import Example, Features, Format

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_peft_compare.config.protocol import StudyProtocol
    from hf_peft_compare.config.schema import RunConfig

NUM_TRIED = 8  # examples that each metric scores before anything runs


def check_ids(examples: Sequence[Example], split: str) -> None:
    """Raise UserError if examples of a split share an id, by which the scores of all methods are paired."""
    counts = Counter(example.id for example in examples)
    repeated = len(examples) - len(counts)
    if repeated:
        (name, count), *_ = counts.most_common(1)
        raise UserError(
            f"{len(examples):,} {split} rows have {len(counts):,} different ids; {name!r} is the id of {count:,} rows, "
            f"but ids must be unique within a split. Set task.id_column to a column of unique ids, or to null to "
            f"number the rows; if rows are repeated, remove them."
        )


def check_metrics(test: Sequence[Example], config: StudyProtocol) -> None:
    """Check that every metric of a study can score its test examples.

    Raises:
        UserError: a metric compares classes, but the task has none; or it cannot score a reference.
    """
    for metric in config.metrics:
        if metric.of_classes and config.task_type.labels(config.task_settings) is None:
            raise UserError(
                f"metric {metric.name} compares classes, but task {config.task_type.name} has free texts; name metrics "
                f"of texts in task.metrics, such as exact_match, rouge or squad (whose scores are f1 and exact_match)."
            )
        for example in test:
            for reference in example.references or (example.reference,):
                if (problem := metric.refusal(reference)) is not None:
                    raise UserError(
                        f"metric {metric.name} cannot score test row {example.id}: its reference {problem}: "
                        f"{shorten(reference, 200)!r}. Remove such rows, or the metric from task.metrics."
                    )


def try_metrics(test: Sequence[Example], config: StudyProtocol) -> None:
    """Raise UserError if the code of a plugin's metric fails on the first test references as predictions."""
    tried = [example.reference for example in test[:NUM_TRIED]]
    for metric in filter(is_foreign, config.metrics):
        try:
            metric.checked_scores(tried, tried)
        except Exception as error:  # a plugin's code may raise anything
            raise UserError(
                f"metric {metric.name} fails on the first {len(tried)} references as predictions: "
                f"{type(error).__name__}: {error}. Fix the metric, or leave it out of task.metrics."
            ) from None


def with_clusters(examples: list[Example], split: Dataset, column: str | None) -> list[Example]:
    """Return the examples of a split with the cluster that a column gives for each; None: unchanged.

    Raises:
        UserError: the column is missing, or the task does not make one example of each row.
    """
    if column is None:
        return examples
    if column not in split.column_names:
        columns = ", ".join(split.column_names)
        raise UserError(
            f"the dataset has no column {column!r}; it has {columns}. Set cluster_column to the column of what rows "
            f"have in common, such as a document or a speaker, or to null if rows are independent."
        )
    if len(examples) != len(split):
        raise UserError(
            f"cluster_column is {column!r}, but the task makes {len(examples)} examples of {len(split)} rows, so that "
            f"clusters cannot be assigned. Set cluster_column to null."
        )
    values = split[column][:]
    return [replace(e, cluster=None if v is None else str(v)) for e, v in zip(examples, values, strict=True)]


def count_test_in_train(examples: Mapping[str, Sequence[Example]]) -> int:
    """Return the number of test examples whose texts are in train too, whatever their case and whitespace."""
    seen = set(map(_texts, examples["train"]))
    return sum(_texts(example) in seen for example in examples["test"])


def _texts(example: Example) -> tuple[str, ...]:
    return tuple(" ".join(text.lower().split()) for text in example.texts)


def check_answers(config: RunConfig, form: Format, rows: Sequence[Features]) -> None:
    """Raise UserError if `max_new_tokens` is shorter than the answers to parse, which it would truncate."""
    if form.read is None or form.candidates:
        return
    longest = max(row["num_completion_tokens"] for row in rows) - 1  # eos need not be generated
    if longest > config.generation.max_new_tokens:
        raise UserError(
            f"{config.row}: the answers have up to {longest} tokens, but generation.max_new_tokens is "
            f"{config.generation.max_new_tokens}, which would truncate them. Raise it to {longest} or more."
        )


def check_candidates(form: Format, rows: Sequence[Features]) -> None:
    """Raise UserError if two candidates have the same tokens: which of them is the likelier, nobody could say."""
    tokens: dict[tuple[int, ...], str] = {}
    for answer, row in zip(form.candidates, rows, strict=False):  # the first example has each candidate once
        if (other := tokens.setdefault(tuple(row["input_ids"]), answer)) != answer:
            raise UserError(
                f"the answers {other!r} and {answer!r} are the same tokens for this base's tokenizer, which may "
                f"not know their letters. Give them other words."
            )
