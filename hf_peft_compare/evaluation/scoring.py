"""Losses, classes and scores, each example evaluated exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.collators import Batch, CompletionCollator, to_device
from hf_peft_compare.evaluation.batching import count_virtual_tokens, map_batches
from hf_peft_compare.models.heads import class_nll, completion_nll
from hf_peft_compare.utils.sharding import is_sharded


@torch.inference_mode()
def score_completions(
    model: Any, rows: Sequence[Features], *, pad_token_id: int, batch_size: int
) -> list[tuple[float, int]]:
    """Return (nats, number of tokens) of each row's completion, in the order of the rows.

    Args:
        rows: encoded examples with "input_ids" and "num_completion_tokens".
    """
    model.eval()
    collate = CompletionCollator(pad_token_id=pad_token_id)

    def score(batch: Sequence[Features]) -> list[tuple[float, int]]:
        inputs = to_device(collate(batch), model.device)
        nll, num_tokens = completion_nll(model(**inputs).logits, inputs["labels"])
        return list(zip(nll.tolist(), num_tokens.tolist(), strict=True))

    num_logits = [row["num_completion_tokens"] + 1 for row in rows]
    sizes: dict[str, Any] = {"lengths": _lengths(model, rows), "num_logits": num_logits}
    return map_batches(score, rows, **sizes, batch_size=batch_size, together=is_sharded(model))


@torch.inference_mode()
def score_classes(
    model: Any,
    rows: Sequence[Features],
    *,
    collate: Callable[[Sequence[Features]], Batch],
    batch_size: int,
) -> list[tuple[float, int, int]]:
    """Return (nats, 1 if the class is known, the likeliest class) of each row, in the order of the rows.

    Args:
        rows: encoded examples with "input_ids" and "label".
        collate: the collator of training, so that batches are padded the same way.
    """
    model.eval()

    def score(batch: Sequence[Features]) -> list[tuple[float, int, int]]:
        inputs = to_device(collate(batch), model.device)
        labels = inputs.pop("labels")
        logits = model(**inputs).logits  # [B, C]
        nll, known = class_nll(logits, labels)
        return list(zip(nll.tolist(), known.tolist(), logits.argmax(dim=1).tolist(), strict=True))

    together = is_sharded(model)
    return map_batches(score, rows, lengths=_lengths(model, rows), batch_size=batch_size, together=together)


def likeliest(losses: Sequence[tuple[float, int]], num_candidates: int) -> list[int]:
    """Return the likeliest candidate of each example, from the concatenated (nats, number of tokens) of all candidates.

    A candidate's nats are summed over its tokens: its negative log-probability after the prompt.
    """
    groups = [losses[i : i + num_candidates] for i in range(0, len(losses), num_candidates)]
    return [min(range(num_candidates), key=lambda i: group[i][0]) for group in groups]


def _lengths(model: object, rows: Sequence[Features]) -> list[int]:
    return [count_virtual_tokens(model) + len(row["input_ids"]) for row in rows]


def score_texts(
    predictions: Sequence[str], references: Sequence[str], metrics: Sequence[Metric]
) -> dict[str, list[float]]:
    """Score predictions against references with every metric; return one float per score and example."""
    scores: dict[str, list[float]] = {}
    for metric in metrics:
        scores |= metric.compute(predictions, references)
    return scores
