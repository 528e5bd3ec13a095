"""Evaluation: losses, classes and generated texts, one of each per example, each example exactly once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import torch
from accelerate.utils import gather_object
from torch import Tensor

from hf_peft_compare.batches import CompletionCollator, pad_left
from hf_peft_compare.config import GenerationConfig
from hf_peft_compare.entries import Metric
from hf_peft_compare.heads import class_nll, completion_nll
from hf_peft_compare.processes import process_state
from hf_peft_compare.sharding import is_sharded

T = TypeVar("T")


@torch.inference_mode()
def score_completions(
    model: Any, rows: Sequence[dict[str, Any]], *, pad_token_id: int, batch_size: int
) -> list[tuple[float, int]]:
    """Give (nats, number of tokens) of each row's completion, in the order of the rows.

    Args:
        rows: encoded examples with "input_ids" and "num_completion_tokens".
    """
    model.eval()
    collate = CompletionCollator(pad_token_id=pad_token_id)

    def score(batch: list[dict[str, Any]]) -> list[tuple[float, int]]:
        inputs = to_device(collate(batch), model.device)
        nll, num_tokens = completion_nll(model(**inputs).logits, inputs["labels"])
        return list(zip(nll.tolist(), num_tokens.tolist(), strict=True))

    num_logits = [row["num_completion_tokens"] + 1 for row in rows]
    sizes: dict[str, Any] = {"lengths": _lengths(model, rows), "num_logits": num_logits}
    return map_batches(score, rows, **sizes, batch_size=batch_size, together=is_sharded(model))


@torch.inference_mode()
def score_classes(
    model: Any,
    rows: Sequence[dict[str, Any]],
    *,
    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
    batch_size: int,
) -> list[tuple[float, int, int]]:
    """Give (nats, 1 if the class is known, the likeliest class) of each row, in the order of the rows.

    Args:
        rows: encoded examples with "input_ids" and "label".
        collate: puts them into batches, padded as the model was trained with.
    """
    model.eval()

    def score(batch: list[dict[str, Any]]) -> list[tuple[float, int, int]]:
        inputs = to_device(collate(batch), model.device)
        labels = inputs.pop("labels")
        logits = model(**inputs).logits  # [B, C]
        nll, known = class_nll(logits, labels)
        return list(zip(nll.tolist(), known.tolist(), logits.argmax(dim=1).tolist(), strict=True))

    together = is_sharded(model)
    return map_batches(score, rows, lengths=_lengths(model, rows), batch_size=batch_size, together=together)


def likeliest(losses: Sequence[tuple[float, int]], num_candidates: int) -> list[int]:
    """Give the likeliest candidate of each example, of all its candidates' (nats, number of tokens) one after another.

    A candidate's nats are summed over its tokens: that is its probability after the prompt.
    """
    groups = [losses[i : i + num_candidates] for i in range(0, len(losses), num_candidates)]
    return [min(range(num_candidates), key=lambda i: group[i][0]) for group in groups]


def _lengths(model: Any, rows: Sequence[dict[str, Any]]) -> list[int]:
    return [_num_virtual_tokens(model) + len(row["input_ids"]) for row in rows]


def generate_texts(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    generation: GenerationConfig,
    batch_size: int,
) -> list[str]:
    """Generate a completion of each prompt, in batches, in the order of the prompts.

    Args:
        prompts: token ids of what the model reads; the completion is generated from them alone.
    """
    generated = generate_tokens(model, tokenizer, prompts, generation=generation, batch_size=batch_size)
    return decode(tokenizer, generated)


def decode(tokenizer: Any, completions: Sequence[Sequence[int]]) -> list[str]:
    """Turn generated tokens into text without special tokens."""
    return [tokenizer.decode(list(ids), skip_special_tokens=True).strip() for ids in completions]


@torch.inference_mode()
def generate_tokens(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    generation: GenerationConfig,
    batch_size: int,
) -> list[list[int]]:
    """Generate the tokens of each prompt's completion, up to and without the end of text.

    Where the study has a temperature, tokens are drawn from torch's generator; else the likeliest are taken.
    """
    model.eval()
    sampling: dict[str, Any] = {"do_sample": False}
    if generation.temperature is not None:
        sampling = {"do_sample": True, "top_k": 0}  # transformers' own default would cut the vocabulary at 50
    settings = {
        **sampling,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **{name: value for name, value in asdict(generation).items() if value is not None},
    }
    if is_sharded(model):
        settings["synced_gpus"] = True  # until the longest of all processes' texts has ended
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        settings["cache_implementation"] = "dynamic"  # peft's own prompt learning cannot begin a static one

    def generate(batch: list[Sequence[int]]) -> list[list[int]]:
        input_ids, attention_mask = pad_left(batch, pad_token_id=tokenizer.pad_token_id)
        inputs = to_device({"input_ids": input_ids, "attention_mask": attention_mask}, model.device)
        output = model.generate(**inputs, **settings)[:, input_ids.shape[1] :]
        return [_until(row, tokenizer.eos_token_id) for row in output.tolist()]

    lengths = [_num_virtual_tokens(model) + len(prompt) + generation.max_new_tokens for prompt in prompts]
    return map_batches(generate, prompts, lengths=lengths, batch_size=batch_size, together=is_sharded(model))


def map_batches(
    function: Callable[[list[Any]], list[T]],
    items: Sequence[Any],
    *,
    lengths: Sequence[int],
    num_logits: Sequence[int] | None = None,
    batch_size: int,
    together: bool = False,
) -> list[T]:
    """Apply a function of a batch to all items, similar lengths together, each item on exactly one process.

    A score does not depend on its batch. CUDA out of memory halves it, and all that follow.

    Args:
        lengths: how many tokens each item takes.
        num_logits: how many columns of logits it takes; None: they do not matter.
        batch_size: how many items of the largest length and number of logits make a batch; it has more of smaller
            ones, as long as rows × columns, padding counted, come to no more.
        together: whether every process must call the function as often as the others, as it must where each holds a
            part of the model; then a process without an item of its own repeats one, and no batch can be halved.

    Returns:
        One result per item, in the items' order, on every process.
    """
    state = process_state()
    sizes = _relative_sizes(lengths, num_logits or lengths)
    order = sorted(range(len(items)), key=lambda i: -lengths[i])
    every = slice(state.process_index, None, state.num_processes)
    waiting = order if together else order[every]
    room = float(batch_size * state.num_processes if together else batch_size)
    results: list[tuple[int, T]] = []
    num_done = 0
    while num_done < len(waiting):
        filled = _fill_batch(itertools.islice(waiting, num_done, None), sizes, room)
        batch = filled[every] or filled[:1] if together else filled
        try:
            results += zip(batch, function([items[i] for i in batch]), strict=True)
            num_done += len(filled)
            continue
        except torch.OutOfMemoryError:
            if together or len(batch) == 1:
                raise
        room = len(batch) // 2 * max(sizes[i] for i in batch)
        torch.cuda.empty_cache()  # out here, where the exception no longer holds the batch
    everyone = dict(gather_object(results))
    return [everyone[i] for i in range(len(items))]


def _relative_sizes(*sizes: Sequence[int]) -> list[float]:
    """Measure each item by that of its sizes which is nearest to the largest of all: in (0, 1]."""
    largest = [max(size, default=1) for size in sizes]
    return [max(n / most for n, most in zip(item, largest, strict=True)) for item in zip(*sizes, strict=True)]


def _fill_batch(items: Iterable[int], sizes: Sequence[float], room: float) -> list[int]:
    """Take items, at least one, while rows × the size of the largest stay within the room."""
    batch: list[int] = []
    largest = 0.0
    for item in items:
        largest = max(largest, sizes[item])
        if batch and (len(batch) + 1) * largest > room:
            break
        batch.append(item)
    return batch


def score_texts(
    predictions: Sequence[str], references: Sequence[str], metrics: Sequence[Metric]
) -> dict[str, list[float]]:
    """Score predictions against references by every metric: one float per score and example."""
    scores: dict[str, list[float]] = {}
    for metric in metrics:
        scores |= metric.compute(predictions, references)
    return scores


def _num_virtual_tokens(model: Any) -> int:
    """Count the columns that a method, ours or peft's, puts before each text."""
    return getattr(getattr(model, "active_peft_config", model), "num_virtual_tokens", 0)


def _until(row: list[int], end: int) -> list[int]:
    return row[: row.index(end)] if end in row else row


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Move a batch's tensors to a device; its other values stay as they are."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
