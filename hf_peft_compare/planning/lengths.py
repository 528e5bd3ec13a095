"""The lengths of a study's examples, counted in local data or else assumed, and the shapes of their batches."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, NamedTuple, TypeVar

from hf_peft_compare.config.protocol import EMBEDDED, local_path
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.task import Example, Features
from hf_peft_compare.data.completions import DoesNotFit
from hf_peft_compare.data.fitting import MAY_DROP, too_many
from hf_peft_compare.data.formats import format_of, splits_read
from hf_peft_compare.data.sampler import SimilarLengthSampler
from hf_peft_compare.data.splits import SPLITS, load_examples
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.training.arguments import divide_batch

T = TypeVar("T")
MOST_SAMPLED = 1000  # examples per split: enough to know their mean to about 1 %, and encoded in a second


class Length(NamedTuple):
    """Tokens of one example including its completion, and of the completion alone; 0 for a class in its place."""

    num_tokens: int
    num_completion_tokens: int


class Shape(NamedTuple):
    """The shape of a padded batch: rows, columns, and the longest completion; 0 if classes are predicted.

    The columns of an encoder-decoder are those of the longest prompt and of the longest completion together.
    """

    num_rows: int
    width: int
    num_completion_tokens: int


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """The lengths of a study's examples.

    Args:
        basis: the source of the lengths.
        splits: lengths by split, a sample or one assumed for all, truncated to the study's `max_length`; only the test
            split for a run that trains nothing.
        num_examples: number of examples of each split; None: unknown without the data.
    """

    basis: str
    splits: Mapping[str, Sequence[Length]]
    num_examples: Mapping[str, int | None]

    def cut(self, split: str, longest: int) -> list[Length]:
        """Return the lengths of a split, or of the test split if it has none, truncated to `longest` tokens.

        Only prompts are truncated.
        """
        lengths = self.splits.get(split) or self.splits["test"]
        return [length._replace(num_tokens=min(length.num_tokens, longest)) for length in lengths]


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The batches of one run on each of its devices.

    Args:
        train_mean, train_largest: the mean and the largest micro-batch of training.
        train_tokens: mean tokens of a training example, without padding.
        evaluation: the largest batch of evaluation; others have more rows of shorter texts.
        longest_prompt: columns of the longest test prompt; with `evaluation`'s rows the largest batch of generation.
        shares: mean size of an example in evaluation and generation, as a share of the largest, by split.
    """

    train_mean: Shape
    train_largest: Shape
    train_tokens: float
    evaluation: Shape
    longest_prompt: int
    shares: Mapping[str, float]


def find_lengths(config: RunConfig, tokenizer: Any | None) -> Lengths:
    """Return the lengths of a run's examples: counted in its data if no download is needed, else assumed.

    Args:
        tokenizer: None: not available locally.

    Raises:
        UserError: the data cannot be read, or a run would refuse them because too many completions are too long.
    """
    if tokenizer is None or not (config.dataset == EMBEDDED or local_path(config.dataset).exists()):
        return assumed_lengths(config)
    if config.labels_from is not None and config.labels_from.found is None:
        config = replace(config, labels_from=None)  # labels hardly change lengths
    examples = load_examples(config)
    form = format_of(config, examples["train"])
    rows = {
        name: _encode_sample(name, split, lambda example: form.encode(example, tokenizer, config.max_length), config)
        for name, split in splits_read(config, examples).items()
    }
    lengths = count_lengths(rows, max_length=config.max_length, cut_at=config.max_length)
    return replace(lengths, num_examples={name: len(split) for name, split in examples.items()})


def _encode_sample(
    split: str, examples: Sequence[Example], encode: Callable[[Example], Features], config: RunConfig
) -> list[Features]:
    """Encode a sample of a split without the rows that a run leaves out because they do not fit.

    Raises:
        UserError: nothing in the sample fits, or more of it does not than the whole split may lose.
    """
    rows: list[Features] = []
    misfits: list[DoesNotFit] = []
    for example in sample(examples):
        try:
            rows.append(encode(example))
        except DoesNotFit as error:
            if split not in MAY_DROP:
                raise
            misfits.append(error)
    num_rows = len(examples) if rows else len(misfits)
    if len(misfits) > config.max_dropped_share * num_rows:
        raise too_many(len(misfits), num_rows, split, misfits[0], max_share=config.max_dropped_share)
    return rows


def assumed_lengths(config: RunConfig) -> Lengths:
    """Return lengths that assume that every example fills `max_length`, and every completion `max_new_tokens`."""
    basis = f"assumed: every text fills max_length ({config.max_length})"
    assumed = Length(config.max_length, 0)
    if head_of(config).generates:
        assumed = Length(config.max_length, config.generation.max_new_tokens)
        basis += f", every completion max_new_tokens ({assumed.num_completion_tokens})"
    sizes = {name: getattr(config, f"num_{name}_samples") for name in SPLITS}
    if (teacher := config.labels_from) is not None and teacher.extra_split is not None:
        known = sizes["train"] is not None and teacher.num_extra_samples is not None
        sizes["train"] = sizes["train"] + teacher.num_extra_samples if known else None
    return Lengths(basis=basis, splits={name: [assumed] for name in SPLITS}, num_examples=sizes)


def count_lengths(splits: Mapping[str, Sequence[Mapping[str, Any]]], *, max_length: int, cut_at: int) -> Lengths:
    """Count the tokens of encoded examples; of large splits only a sample.

    Args:
        cut_at: the length at which texts were truncated; a truncated text is assumed to fill `max_length`.
    """
    counted = {
        name: [
            _length(len(row["input_ids"]), row.get("num_completion_tokens", 0), max_length, cut_at)
            for row in sample(split)
        ]
        for name, split in splits.items()
    }
    return Lengths(
        basis=f"counted in {sum(map(len, counted.values())):,} examples of the data",
        splits=counted,
        num_examples={name: len(split) for name, split in splits.items()},
    )


def _length(num_tokens: int, num_completion_tokens: int, max_length: int, cut_at: int) -> Length:
    return Length(num_tokens if num_tokens < cut_at else max_length, num_completion_tokens)


def sample(items: Sequence[T]) -> list[T]:
    """Return a sample of many items, the same at every call."""
    chosen = random.Random(0).sample(range(len(items)), min(len(items), MOST_SAMPLED))
    return [items[i] for i in chosen]


def batch_shapes(config: RunConfig, lengths: Lengths, *, num_processes: int = 1) -> Shapes:
    """Return the shapes of a run's batches in training and evaluation.

    Raises:
        UserError: the effective batch is not divisible by processes times accumulation steps.
    """
    accumulation = config.training.gradient_accumulation_steps
    micro_batch_size = divide_batch(config, accumulation=accumulation, num_processes=num_processes)
    micro_batch_size = min(micro_batch_size, lengths.num_examples["train"] or sys.maxsize)
    train, test = lengths.cut("train", config.max_text_length), lengths.cut("test", config.max_text_length)
    order = SimilarLengthSampler(
        [length.num_tokens for length in train], chunk_size=config.training.train_batch_size, seed=config.seed
    )
    visited = [train[i] for i in order]
    apart = head_of(config).reads_apart
    batches = [_bound(visited[i : i + micro_batch_size], apart) for i in range(0, len(visited), micro_batch_size)]
    mean_length = Length(*(round(mean(column)) for column in zip(*batches, strict=True)))
    eval_batch_size = min(config.training.eval_batch_size, lengths.num_examples["test"] or sys.maxsize)
    longest = _bound(test, apart)
    prompts = [min(n - completion, max(config.max_prompt_length, 1)) for n, completion in test]
    new_tokens = config.generation.max_new_tokens
    return Shapes(
        train_mean=Shape(micro_batch_size, *mean_length),
        train_largest=Shape(micro_batch_size, *_bound(batches, apart)),
        train_tokens=mean(length.num_tokens for length in train),
        evaluation=Shape(eval_batch_size, *longest),
        longest_prompt=max(prompts),
        shares={
            **{name: _mean_tokens(lengths, name, config) / longest.num_tokens for name in SPLITS},
            "generation": (mean(prompts) + new_tokens) / (max(prompts) + new_tokens),
        },
    )


def _mean_tokens(lengths: Lengths, split: str, config: RunConfig) -> float:
    return mean(length.num_tokens for length in lengths.cut(split, config.max_text_length))


def _bound(lengths: Sequence[Length], apart: bool) -> Length:
    """Return the length of the longest text and of the longest completion, which may be of two examples.

    Args:
        apart: an encoder-decoder pads prompts and completions apart, so that the longest of each count together.
    """
    num_tokens, num_completion_tokens = map(max, zip(*lengths, strict=True))
    if apart:
        num_tokens = num_completion_tokens + max(n - completion for n, completion in lengths)
    return Length(num_tokens, num_completion_tokens)
