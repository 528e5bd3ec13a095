"""Losses, classes and scores, each example evaluated exactly once."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any

import torch

from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.task import Example, Features
from hf_peft_compare.data.collators import Batch, CompletionCollator, EncoderDecoderCollator, pad_left, to_device
from hf_peft_compare.evaluation.batching import adds_prompt, count_virtual_tokens, map_batches
from hf_peft_compare.models.heads import base_of, class_nll, lm_head_of
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
    collate = _collator(model, pad_token_id)

    def score(batch: Sequence[Features]) -> list[tuple[float, int]]:
        inputs = to_device(collate(batch), model.device)
        return _losses(model, model(**inputs).logits, inputs["labels"])

    num_logits = [row["num_completion_tokens"] + 1 for row in rows]
    sizes: dict[str, Any] = {"lengths": _lengths(model, rows), "num_logits": num_logits}
    return map_batches(score, rows, **sizes, batch_size=batch_size, together=is_sharded(model))


@torch.inference_mode()
def score_candidates(
    model: Any, rows: Sequence[Features], num_candidates: int, *, pad_token_id: int, batch_size: int
) -> list[tuple[float, int]]:
    """Return the same as `score_completions`, but read what an example's candidates have in common once, not each time.

    Args:
        rows: the rows of every candidate of the first example, then of the second, and so on.
    """
    if lm_head_of(model).reads_apart and not adds_prompt(model):
        return _score_from_encoder(model, rows, num_candidates, pad_token_id=pad_token_id, batch_size=batch_size)
    groups = [range(first, first + num_candidates) for first in range(0, len(rows), num_candidates)]
    shared, longest = [], []
    for group in groups:
        candidates = [rows[i] for i in group]
        shared.append(_num_shared(candidates))
        longest.append(max(len(row["input_ids"]) for row in candidates))
    if min(shared, default=0) < 1 or not _continues_from_cache(model):
        return score_completions(model, rows, pad_token_id=pad_token_id, batch_size=batch_size)
    model.eval()
    collate = CompletionCollator(pad_token_id=pad_token_id)

    def score(batch: Sequence[int]) -> list[list[tuple[float, int]]]:
        examples = [[rows[i] for i in groups[number]] for number in batch]
        cut = [shared[number] for number in batch]
        starts = [example[0]["input_ids"][:at] for example, at in zip(examples, cut, strict=True)]
        input_ids, mask = pad_left(starts, pad_token_id=pad_token_id)
        inputs = to_device({"input_ids": input_ids, "attention_mask": mask}, model.device)
        cache = model(**inputs, use_cache=True, logits_to_keep=1).past_key_values
        scored = []
        for candidates in zip(*examples, strict=True):
            ends = [_without_start(row, at) for row, at in zip(candidates, cut, strict=True)]
            scored.append(score_ends(ends, inputs["attention_mask"], copy.deepcopy(cache)))
        return [list(losses) for losses in zip(*scored, strict=True)]

    def score_ends(ends: Sequence[Features], mask: torch.Tensor, cache: Any) -> list[tuple[float, int]]:
        inputs = to_device(collate(ends), model.device)
        inputs["attention_mask"] = torch.cat([mask, inputs["attention_mask"]], dim=1)
        logits = model(**inputs, past_key_values=cache, use_cache=True).logits
        return _losses(model, logits, inputs["labels"])

    of_examples = map_batches(
        score,
        range(len(groups)),
        lengths=[count_virtual_tokens(model) + length for length in longest],
        num_logits=[length - at for length, at in zip(longest, shared, strict=True)],
        batch_size=batch_size,
        together=is_sharded(model),
    )
    return [losses for example in of_examples for losses in example]


def _score_from_encoder(
    model: Any, rows: Sequence[Features], num_candidates: int, *, pad_token_id: int, batch_size: int
) -> list[tuple[float, int]]:
    """Score candidates with the encoder's states of each prompt, computed with the first candidate that has it.

    Candidates of one example differ in their prompts if it was truncated to leave each of them its room.
    """
    sharing: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for i, row in enumerate(rows):
        prompt = tuple(row["input_ids"][: len(row["input_ids"]) - row["num_completion_tokens"]])
        sharing.setdefault((i // num_candidates, prompt), []).append(i)
    groups = list(sharing.values())
    model.eval()
    collate = _collator(model, pad_token_id)

    def score(batch: Sequence[list[int]]) -> list[list[tuple[float, int]]]:
        firsts, others = [group[0] for group in batch], [i for group in batch for i in group[1:]]
        inputs = to_device(collate([rows[i] for i in firsts]), model.device)
        outputs = model(**inputs)
        scored = dict(zip(firsts, _losses(model, outputs.logits, inputs["labels"]), strict=True))
        if others:
            place = torch.tensor([j for j, group in enumerate(batch) for _ in group[1:]], device=model.device)
            labels = to_device(collate([rows[i] for i in others]), model.device)["labels"]
            states = (outputs.encoder_last_hidden_state[place],)
            logits = model(encoder_outputs=states, attention_mask=inputs["attention_mask"][place], labels=labels).logits
            scored |= zip(others, _losses(model, logits, labels), strict=True)
        return [[scored[i] for i in group] for group in batch]

    found = map_batches(
        score,
        groups,
        lengths=_lengths(model, [rows[group[0]] for group in groups]),
        num_logits=[sum(rows[i]["num_completion_tokens"] for i in group) for group in groups],
        batch_size=batch_size,
        together=is_sharded(model),
    )
    losses = {i: loss for group, each in zip(groups, found, strict=True) for i, loss in zip(group, each, strict=True)}
    return [losses[i] for i in range(len(rows))]


def _losses(model: object, logits: torch.Tensor, labels: torch.Tensor) -> list[tuple[float, int]]:
    nll, num_tokens = lm_head_of(model).nll(logits, labels)
    return list(zip(nll.tolist(), num_tokens.tolist(), strict=True))


def _collator(model: object, pad_token_id: int) -> Callable[[Sequence[Features]], Batch]:
    apart = lm_head_of(model).reads_apart
    return (EncoderDecoderCollator if apart else CompletionCollator)(pad_token_id=pad_token_id)


def _num_shared(candidates: Sequence[Features]) -> int:
    """Return the number of tokens that an example's candidates can be read together.

    The last token of a prompt is read with the candidate, whose first token it predicts.
    """
    prompts = (len(row["input_ids"]) - row["num_completion_tokens"] for row in candidates)
    return min(len(os.path.commonprefix([list(row["input_ids"]) for row in candidates])), min(prompts) - 1)


def _without_start(row: Features, at: int) -> Features:
    return {"input_ids": row["input_ids"][at:], "num_completion_tokens": row["num_completion_tokens"]}


def _continues_from_cache(model: Any) -> bool:
    """Whether a model reads a text's second part after its first."""
    if not getattr(model, "continues_from_cache", True):
        return False
    return not adds_prompt(model) and "past_key_values" in inspect.signature(base_of(model).forward).parameters


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
    predictions: Sequence[str], examples: Sequence[Example], metrics: Sequence[Metric]
) -> dict[str, list[float]]:
    """Score predictions against the examples' references with every metric; return one float per score and example.

    If an example has several references, its score is the best over them.
    """
    references = [example.references or (example.reference,) for example in examples]
    repeated = [p for p, several in zip(predictions, references, strict=True) for _ in several]
    ends = list(accumulate(map(len, references)))
    spans = list(zip([0, *ends], ends, strict=False))
    scores: dict[str, list[float]] = {}
    for metric in metrics:
        found = metric.checked_scores(repeated, list(chain.from_iterable(references)))
        for score in metric.scores:
            best, values = max if score.greater_is_better else min, found[score.name]
            scores[score.name] = [best(values[start:end]) for start, end in spans]
    return scores
