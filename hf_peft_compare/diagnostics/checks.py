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

NUM_PADDING = 16
NOISE = 1e-5  # share of the logits' spread; what acts at all moves them by more in two steps

Check = Callable[[CheckContext], CheckResult]


def of_trained(check: Check) -> Check:
    """Let a check pass over rows that train nothing."""

    @functools.wraps(check)
    def checked(context: CheckContext) -> CheckResult:
        return check(context) if context.config.method_type.trains else does_not_apply("nothing is trained")

    return checked


@of_trained
def seed(context: CheckContext) -> CheckResult:
    """The seed decides the initial trainables."""
    mine = context.config.seed
    first, again, other = context.initial_hash, *(context.hash_of_start(seed=s) for s in (mine, mine + 1))
    if first == again == other and not context.draws():
        return does_not_apply(f"its initial values ({first[:8]}) are not drawn, but the same for every seed")
    return judged(
        first == again != other,
        expected="one hash of the initial trainables for one seed, another for another",
        found=f"seed {mine}: {first[:8]}, again {again[:8]}; seed {mine + 1}: {other[:8]}",
    )


@of_trained
def gradients(context: CheckContext) -> CheckResult:
    """Every trainable is reached: at once, or as soon as what it is multiplied by is no longer zero."""
    names, (first, *later) = set(named_trainables(context.model)), context.training.reached
    late, never = set().union(*later) - first, names - first.union(*later)
    found = f"{len(first)} of {len(names)} in step 1"
    found += f", {len(late)} more in step 2 ({_some(late)})" if late else ""
    found += f"; none for {_some(never)}" if never else ""
    return judged(
        bool(names) and not never,
        expected="a gradient for every trainable in step 1, or in step 2 where it is zero by construction until then",
        found=found,
    )


@of_trained
def frozen_base(context: CheckContext) -> CheckResult:
    """What is not trained is the same after training, to the last bit."""
    if context.trains_all:
        return does_not_apply("nothing is frozen")
    changed, num_frozen = context.training.changed, context.training.num_frozen
    return judged(
        not changed,
        expected=f"the same hashes of all that is frozen after {NUM_STEPS} steps",
        found=f"of {num_frozen} tensors {len(changed)} changed{f': {_some(changed)}' if changed else ''}",
    )


@of_trained
def tied_head(context: CheckContext) -> CheckResult:
    """A head that is trained while the rest is frozen has weights of its own."""
    head = context.model.get_output_embeddings() if head_of(context.config).generates else None
    trained = [p for p in head.parameters() if p.requires_grad] if head is not None else []
    if not trained:
        return does_not_apply("no language-modelling head is trained")
    if context.trains_all:
        return does_not_apply("all weights are trained, the head with the embedding that it is tied to or not")
    embedding = {p.data_ptr() for p in context.model.get_input_embeddings().parameters()}
    tied = any(p.data_ptr() in embedding for p in trained)
    return judged(
        not tied,
        expected="the trained head in memory of its own, so that the input embedding is not trained with it",
        found="it shares the input embedding's memory" if tied else "it has memory of its own",
    )


@of_trained
def effect(context: CheckContext) -> CheckResult:
    """What was trained acts where the model is used."""
    if head_of(context.config).auto_class is AutoModel:
        return does_not_apply("the untouched base has no head that tells classes")
    base, outputs = context.untouched_outputs, context.outputs
    before, after = (t.logits[:, 0] if head_of(context.config).generates else t.logits for t in (base, outputs))
    largest, spread = _largest(after, before), before.std().item()
    what = "first token generated" if head_of(context.config).generates else "classes"
    return judged(
        largest > NOISE * spread,
        expected=f"after {NUM_STEPS} steps other logits of the {what} than the untouched model's",
        found=f"they differ by up to {largest:.2g} (spread {spread:.2g}){_others(base, outputs)}",
    )


def cache(context: CheckContext) -> CheckResult:
    """Generation token by token, with a cache, is what the model says when it reads the whole text at once."""
    if not head_of(context.config).generates:
        return does_not_apply("nothing is generated")
    outputs = context.outputs
    assert outputs.tokens is not None
    num_new = outputs.logits.shape[1]
    mask = pad(outputs.inputs["attention_mask"], (0, num_new), value=1)
    with torch.no_grad():
        whole = context.adapted(input_ids=outputs.tokens, attention_mask=mask).logits[:, -num_new - 1 : -1]
    return _same(
        context,
        outputs.logits,
        whole,
        expected=f"{num_new} tokens generated with a cache have the logits of a pass over all the text without one",
    )


def padding(context: CheckContext) -> CheckResult:
    """A score depends on neither padding nor batch."""
    alone = torch.cat([_nats(context, [row]) for row in context.rows])
    room = context.config.max_text_length - max(len(row["input_ids"]) for row in context.rows)
    num_padding = min(NUM_PADDING, room)
    together, padded = _nats(context, context.rows), _nats(context, context.rows, num_padding=num_padding)
    scale = max(1.0, alone.abs().max().item())
    in_batch, with_padding = _largest(together, alone), _largest(padded, alone)
    return judged(
        max(in_batch, with_padding) <= context.tolerance * scale,
        expected=f"the nats per label of each example alone, to {context.tolerance * scale:.2g}",
        found=f"in a batch of {len(alone)} they differ by up to {in_batch:.2g}, with {num_padding} more columns of "
        f"padding by {with_padding:.2g}",
    )


@of_trained
def accumulation(context: CheckContext) -> CheckResult:
    """How a batch is split into micro-batches changes no step."""
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
    """Merged into a plain model it tells the same; what is merged into few bits cannot, and shows by how much."""
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
        return _same(context, after, before, expected="merged into a plain model the same logits")
    found = f"they differ by up to {_largest(after, before):.2g} (spread {before.std().item():.2g})"
    return judged(bool(after.isfinite().all()), expected="other logits, since weights are rounded", found=found)


# In this order: the last one takes the model apart.
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
    """Give the nats per label [B] of rows in one batch, with so many more columns of padding than it needs."""
    columns = (num_padding, 0) if context.tokenizer.padding_side == "left" else (0, num_padding)
    values = {"input_ids": context.tokenizer.pad_token_id, "attention_mask": 0, "token_type_ids": 0}
    batch = context.collate(rows)
    batch |= {name: pad(batch[name], columns, value=value) for name, value in values.items() if name in batch}
    inputs = to_device(batch, context.model.device)
    nats, num_labels = head_of(context.config).nll(context.adapted(**inputs).logits, inputs["labels"])
    return nats / num_labels.clamp(min=1)  # a class may be unknown


def _same(context: CheckContext, actual: Tensor, reference: Tensor, *, expected: str) -> CheckResult:
    """Judge two tensors of logits that should be the same."""
    largest, spread = _largest(actual, reference), reference.std().item()
    return judged(
        largest <= context.tolerance * spread,
        expected=f"{expected}, to {context.tolerance:.2g} of their spread {spread:.3g}",
        found=f"they differ by up to {largest:.2g}",
    )


def _largest(one: Tensor, other: Tensor) -> float:
    """Give the largest difference; infinite where something is not a number."""
    difference = (one.float().cpu() - other.float().cpu()).abs().max().item()
    return difference if difference == difference else float("inf")


def _others(base: ModelOutput, outputs: ModelOutput) -> str:
    """Say how many of the tokens generated are others than the base's."""
    if base.tokens is None or outputs.tokens is None:
        return ""
    num_others, num_all = (base.tokens != outputs.tokens).sum().item(), outputs.logits.shape[:2].numel()
    return f"; {num_others} of {num_all} tokens generated are others"


def _some(names: Sequence[str] | set[str], num: int = 2) -> str:
    """Name the first few."""
    listed = sorted(names)
    more = f" and {len(listed) - num} more" if len(listed) > num else ""
    return ", ".join(listed[:num]) + more
