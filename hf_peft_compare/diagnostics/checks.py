"""The checks of the doctor: each is a function of a `CheckContext` that returns a `CheckResult`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoModel

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.collators import to_device
from hf_peft_compare.diagnostics.context import NUM_EXAMPLES, NUM_STEPS, CheckContext
from hf_peft_compare.diagnostics.observations import ModelOutput
from hf_peft_compare.diagnostics.results import CheckResult, does_not_apply, judged
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.trainable_parameters import named_trainables
from hf_peft_compare.records.parts import HistoryEntry
from hf_peft_compare.utils.formatting import name_some

NUM_PADDING = 16
NUM_NAMED = 2  # tensors in a finding
NOISE = 1e-5  # share of the logits' spread; any trained parameter with an effect moves them by more in two steps

Check = Callable[[CheckContext], CheckResult]


def of_trained(check: Check) -> Check:
    """Make a check not applicable to rows that train nothing."""

    @functools.wraps(check)
    def checked(context: CheckContext) -> CheckResult:
        return check(context) if context.config.method_type.trains else does_not_apply("nothing is trained")

    return checked


@of_trained
def seed(context: CheckContext) -> CheckResult:
    """Check that the seed determines the initial trainable parameters."""
    mine = context.config.seed
    first, again, other = context.initial_hash, *(context.hash_of_start(seed=s) for s in (mine, mine + 1))
    if first == again == other and not context.draws():
        return does_not_apply(f"its initial values ({first[:8]}) are not random, but the same for every seed")
    return judged(
        first == again != other,
        expected="the same hash of the initial trainable parameters for the same seed, a different one for another",
        found=f"seed {mine}: {first[:8]}, again {again[:8]}; seed {mine + 1}: {other[:8]}",
    )


@of_trained
def gradients(context: CheckContext) -> CheckResult:
    """Check that every trainable gets a gradient, at once or as soon as its multiplier is no longer zero."""
    names, (first, *later) = set(named_trainables(context.model)), context.training.reached
    late, never = set().union(*later) - first, names - first.union(*later)
    found = f"{len(first)} of {len(names)} in step 1"
    found += f", {len(late)} more in step 2 ({name_some(late, NUM_NAMED)})" if late else ""
    found += f"; none for {name_some(never, NUM_NAMED)}" if never else ""
    return judged(
        bool(names) and not never,
        expected="a gradient for every trainable in step 1, or in step 2 if it is zero by construction until then",
        found=found,
    )


@of_trained
def frozen_base(context: CheckContext) -> CheckResult:
    """Check that frozen tensors are bitwise identical after training."""
    if context.trains_all:
        return does_not_apply("nothing is frozen")
    changed, num_frozen = context.training.changed, context.training.num_frozen
    which = f": {name_some(changed, NUM_NAMED)}" if changed else ""
    return judged(
        not changed,
        expected=f"the same hashes of all frozen tensors after {NUM_STEPS} steps",
        found=f"{len(changed)} of {num_frozen} tensors changed{which}",
    )


@of_trained
def tied_head(context: CheckContext) -> CheckResult:
    """Check that a head trained on a frozen model has its own weights."""
    head = context.model.get_output_embeddings() if head_of(context.config).generates else None
    trained = [p for p in head.parameters() if p.requires_grad] if head is not None else []
    if not trained:
        return does_not_apply("no language-modeling head is trained")
    if context.trains_all:
        return does_not_apply("all weights are trained, whether the head is tied to the embedding or not")
    embedding = {p.data_ptr() for p in context.model.get_input_embeddings().parameters()}
    tied = any(p.data_ptr() in embedding for p in trained)
    return judged(
        not tied,
        expected="the trained head has its own memory, so that the input embedding is not trained with it",
        found="it shares the input embedding's memory" if tied else "it has its own memory",
    )


@of_trained
def effect(context: CheckContext) -> CheckResult:
    """Check that the trained parameters affect the model's outputs."""
    if head_of(context.config).auto_class is AutoModel:
        return does_not_apply("the untouched base has no classification head")
    base, outputs = context.untouched_outputs, context.outputs
    before, after = (t.logits[:, 0] if head_of(context.config).generates else t.logits for t in (base, outputs))
    largest, spread = _largest(after, before), before.std().item()
    what = "first token generated" if head_of(context.config).generates else "classes"
    return judged(
        largest > NOISE * spread,
        expected=f"after {NUM_STEPS} steps logits of the {what} that differ from the untouched model's",
        found=f"they differ by up to {largest:.2g} (spread {spread:.2g}){_others(base, outputs)}",
    )


def cache(context: CheckContext) -> CheckResult:
    """Check that generation with a cache has the same logits as one forward pass over the whole text."""
    if not head_of(context.config).generates:
        return does_not_apply("nothing is generated")
    outputs = context.outputs
    assert outputs.tokens is not None
    num_new = outputs.logits.shape[1]
    return _same(
        context,
        outputs.logits,
        _at_once(context, outputs, num_new),
        expected=f"{num_new} tokens generated with a cache, with the logits of a pass over the whole text without one",
    )


def padding(context: CheckContext) -> CheckResult:
    """Check that a score depends neither on padding nor on the batch."""
    alone = torch.cat([_nats(context, [row]) for row in context.rows])
    room = context.config.max_text_length - max(len(row["input_ids"]) for row in context.rows)
    num_padding = min(NUM_PADDING, room)
    together, padded = _nats(context, context.rows), _nats(context, context.rows, num_padding=num_padding)
    scale = max(1.0, alone.abs().max().item())
    in_batch, with_padding = _largest(together, alone), _largest(padded, alone)
    return judged(
        max(in_batch, with_padding) <= context.tolerance * scale,
        expected=f"the same nats per label as each example alone, to {context.tolerance * scale:.2g}",
        found=f"in a batch of {len(alone)} they differ by up to {in_batch:.2g}, with {num_padding} more columns of "
        f"padding by {with_padding:.2g}",
    )


@of_trained
def accumulation(context: CheckContext) -> CheckResult:
    """Check that splitting a batch into micro-batches does not change the steps."""
    num_micro = NUM_EXAMPLES // 2
    whole, split = context.training.logged, context.train_again(gradient_accumulation_steps=num_micro).logged
    pairs = list(zip(_curve(whole), _curve(split), strict=True))
    largest = max(abs(w - s) / max(abs(w), 1e-3) for w, s in pairs)
    losses = (", ".join(f"{entry.loss:.5f}" for entry in logged) for logged in (whole, split))
    return judged(
        largest <= context.tolerance,
        expected=f"{NUM_EXAMPLES}×1 and 2×{num_micro} with the same losses and gradient norms, to "
        f"{context.tolerance:.2g} of them",
        found=f"they differ by up to {largest:.2g} of them; losses {next(losses)} and {next(losses)}",
    )


def _curve(logged: Sequence[HistoryEntry]) -> list[float]:
    return [value for entry in logged for value in (entry.loss, entry.grad_norm) if value is not None]


@of_trained
def merging(context: CheckContext) -> CheckResult:
    """Check that merging keeps the logits; with quantized weights it cannot, and the result shows the difference."""
    if not context.config.method_type.mergeable:
        return does_not_apply("the method cannot be merged")
    model, exact = context.adapted, context.is_exact
    before = context.logits(model)
    try:
        merged = context.config.method_type.merge(model)
    except UserError as error:
        return does_not_apply(str(error))
    if merged is model:
        return does_not_apply("it is a plain model already")
    after = context.logits(merged.eval())
    if exact:
        return _same(context, after, before, expected="the same logits after merging")
    found = f"they differ by up to {_largest(after, before):.2g} (spread {before.std().item():.2g})"
    return judged(bool(after.isfinite().all()), expected="finite but other logits: weights are rounded", found=found)


# Merging comes last, since it destroys the model.
CHECKS: Sequence[Check] = (
    seed,
    gradients,
    frozen_base,
    tied_head,
    effect,
    cache,
    padding,
    accumulation,
    merging,
)


@torch.no_grad()
def _nats(context: CheckContext, rows: Sequence[Features], *, num_padding: int = 0) -> Tensor:
    """Return the nats per label [B] of rows in one batch with `num_padding` extra columns of padding."""
    columns = (num_padding, 0) if context.tokenizer.padding_side == "left" else (0, num_padding)
    values = {"input_ids": context.tokenizer.pad_token_id, "attention_mask": 0, "token_type_ids": 0}
    batch = context.collate(rows)
    batch |= {name: pad(batch[name], columns, value=value) for name, value in values.items() if name in batch}
    inputs = to_device(batch, context.model.device)
    nats, num_labels = head_of(context.config).nll(context.adapted(**inputs).logits, inputs["labels"])
    return nats / num_labels.clamp(min=1)  # the class of an example may be unknown


@torch.no_grad()
def _at_once(context: CheckContext, outputs: ModelOutput, num_new: int) -> Tensor:
    """Return the logits [B, N, V] of generated tokens, computed in one pass without a cache."""
    assert outputs.tokens is not None
    if head_of(context.config).reads_apart:
        logits: Tensor = context.adapted(**outputs.inputs, labels=outputs.tokens[:, 1:]).logits
        return logits
    mask = pad(outputs.inputs["attention_mask"], (0, num_new), value=1)
    labels = pad(torch.full_like(outputs.tokens[:, :-num_new], -100), (0, num_new), value=0)  # where the prompt ends
    whole: Tensor = context.adapted(input_ids=outputs.tokens, attention_mask=mask, labels=labels).logits
    return whole[:, -num_new - 1 : -1]


def _same(context: CheckContext, actual: Tensor, reference: Tensor, *, expected: str) -> CheckResult:
    """Compare two tensors of logits that should be the same."""
    largest, spread = _largest(actual, reference), reference.std().item()
    return judged(
        largest <= context.tolerance * spread,
        expected=f"{expected}, to {context.tolerance:.2g} of their spread {spread:.3g}",
        found=f"they differ by up to {largest:.2g}",
    )


def _largest(one: Tensor, other: Tensor) -> float:
    """Return the largest absolute difference; infinite if it is NaN."""
    difference = (one.float().cpu() - other.float().cpu()).abs().max().item()
    return difference if difference == difference else float("inf")


def _others(base: ModelOutput, outputs: ModelOutput) -> str:
    """Return text on how many generated tokens differ from the base's."""
    if base.tokens is None or outputs.tokens is None:
        return ""
    num_others, num_all = (base.tokens != outputs.tokens).sum().item(), outputs.logits.shape[:2].numel()
    return f"; {num_others} of {num_all} generated tokens differ"
