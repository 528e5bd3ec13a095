"""Predictions of a model, one per example: a class, the likeliest candidate, or a generated text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.chat import reads_turns
from hf_peft_compare.data.tokenization import Inputs
from hf_peft_compare.evaluation.generation import decode, generate_tokens
from hf_peft_compare.evaluation.scoring import likeliest, score_candidates, score_classes, score_completions
from hf_peft_compare.models.heads import head_of

Loss = tuple[float, int]  # nats, and the number of labels that they are summed over


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one example.

    Args:
        text: the generated text, or the name of the likeliest class or candidate.
        answer: the answer parsed from a generated text; None: not parsed.
        loss: the loss of the example's reference; None: not requested.
        num_tokens: number of generated tokens.
    """

    text: str
    answer: str | None = None
    loss: Loss | None = None
    num_tokens: int = 0


def predict(
    model: Any,
    tokenizer: Any,
    inputs: Inputs,
    config: RunConfig,
    *,
    labels: Sequence[str] | None = None,
    batch_size: int,
    with_loss: bool = False,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> list[Prediction]:
    """Return one prediction per example, in order, made with the run's head.

    Args:
        labels: the class names; None: those of the format, else those of the model.
        with_loss: compute the loss of the references too.
        on_stage: called with the name of each stage when it starts, and with "" at the end.
    """
    if not head_of(config).generates:
        on_stage("classifying")
        scored = score_classes(model, inputs.rows, collate=head_of(config).collator(tokenizer), batch_size=batch_size)
        names = labels or inputs.form.labels or model.config.id2label
        return [Prediction(text=names[predicted], loss=(nats, known)) for nats, known, predicted in scored]
    if inputs.form.candidates:
        on_stage("scoring answers")
        return _predict_likeliest(model, tokenizer, inputs, batch_size=batch_size, with_loss=with_loss)
    losses: Sequence[Loss | None] = ()
    if with_loss:
        on_stage("test loss")
        losses = score_losses(model, tokenizer, inputs.rows, config, batch_size=batch_size)
    on_stage("generating")
    torch.manual_seed(config.seed)  # sampled tokens do not depend on random numbers used by training
    settings: dict[str, Any] = {"generation": config.generation, "batch_size": batch_size, "share_start": True}
    tokens = generate_tokens(model, tokenizer, inputs.prompts, **settings)
    on_stage("")
    texts, read, stop = decode(tokenizer, tokens), inputs.form.read, inputs.form.stop
    if stop and not reads_turns(inputs.form, config, tokenizer):
        texts = [text.partition(stop)[0].strip() for text in texts]
    return [
        Prediction(text=text, answer=read(text) if read else None, loss=loss, num_tokens=len(ids))
        for text, ids, loss in zip(texts, tokens, losses or [None] * len(tokens), strict=True)
    ]


def _predict_likeliest(
    model: Any, tokenizer: Any, inputs: Inputs, *, batch_size: int, with_loss: bool
) -> list[Prediction]:
    """Return the likeliest candidate of each example; the loss of its reference is that of the same candidate."""
    names, rows = inputs.form.candidates, inputs.candidates
    scored = score_candidates(model, rows, len(names), pad_token_id=tokenizer.pad_token_id, batch_size=batch_size)
    predictions = []
    for example, chosen in enumerate(likeliest(scored, len(names))):
        group = range(example * len(names), (example + 1) * len(names))
        loss = None
        if with_loss:
            reference = inputs.rows[example]["input_ids"]
            loss = next(scored[place] for place in group if rows[place]["input_ids"] == reference)
        predictions.append(Prediction(text=names[chosen], loss=loss))
    return predictions


def score_losses(
    model: object, tokenizer: Any, rows: Sequence[Features], config: RunConfig, *, batch_size: int
) -> list[Loss]:
    """Return (nats, number of labels) of each row; labels are the tokens of its completion, or its class."""
    head = head_of(config)
    if head.generates:
        return score_completions(model, rows, pad_token_id=tokenizer.pad_token_id, batch_size=batch_size)
    scored = score_classes(model, rows, collate=head.collator(tokenizer), batch_size=batch_size)
    return [(nats, known) for nats, known, _ in scored]
