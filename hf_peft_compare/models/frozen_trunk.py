"""The frozen trunk: the part of a model below all trained parameters, and forward passes that start above it.

The hidden states at the boundary do not change during training, so they can be computed once and passed to the model in
later passes (`trunk_cache.py`). The boundary is derived from the parameters that require gradients, and is therefore
independent of the method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hf_peft_compare.core.task import Features
from hf_peft_compare.models.heads import base_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """The frozen trunk of a model.

    Args:
        base: the transformers model.
        blocks: its frozen transformer blocks, the lowest first.
        above: the modules above the trunk: the remaining blocks and the head.
        boundary: the first module above, a block or the head; its input are the trunk's states.
        embedding_widths: {input: width of its embedding} if the trunk computes one state per example, which
            concatenates the embeddings; empty: one state per token.
        embedded_by: everything, except weights and config, that determines this state.
    """

    base: Any
    blocks: tuple[nn.Module, ...]
    above: tuple[nn.Module, ...]
    boundary: nn.Module
    embedding_widths: Mapping[str, int] = field(default_factory=dict)
    embedded_by: str = ""

    @property
    def embeds(self) -> bool:
        """Whether the trunk computes one state per example."""
        return bool(self.embedding_widths)

    @property
    def width(self) -> int:
        """The size of a state."""
        return sum(self.embedding_widths.values()) or self.base.get_input_embeddings().embedding_dim

    @property
    def notes(self) -> list[str]:
        """Notes for the record: the embedded inputs and the widths of their embeddings."""
        parts = [f"{what} {width:,}" for what, width in self.embedding_widths.items()]
        return [f"Widths of the frozen embeddings: {', '.join(parts)}."] if parts else []

    @property
    def below_head(self) -> bool:
        """Whether only the LM head is trained, which needs the states of columns with logits only."""
        return self.boundary in head_modules(self.base)

    @property
    def modules(self) -> list[nn.Module]:
        """The outermost modules that lie entirely in the trunk."""
        return list(_outermost(self.base, self.above))

    def num_states(self, row: Features) -> int:
        """Return the number of columns, at the right end of an encoded example, whose states are cached."""
        num_tokens = len(row["input_ids"])
        if self.embeds:
            return 1
        if not self.below_head or "num_completion_tokens" not in row:  # the head chooses the columns it classifies
            return num_tokens
        return min(row["num_completion_tokens"] + 1, num_tokens)


def find_trunk(model: nn.Module) -> Trunk | None:
    """Return the frozen trunk of a model; None if anything trains up to its first block, or outside blocks and head.

    An encoder-decoder has none: its blocks above a boundary read the encoder's states too, which no cache holds.
    """
    if hasattr(type(model), "frozen_trunk"):  # the model defines its own trunk
        return model.frozen_trunk  # type: ignore[return-value]
    base = base_of(model)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    blocks, head = transformer_blocks(base), head_modules(base)
    if not trained or blocks is None or not head or base.config.is_encoder_decoder:
        return None
    depth = next((i for i, block in enumerate(blocks) if trained & _ids(block)), len(blocks))
    above = (*blocks[depth:], *head)
    if depth == 0 or trained & _ids(base.get_input_embeddings()) or trained - set().union(*map(_ids, above)):
        return None
    return Trunk(base=base, blocks=tuple(blocks[:depth]), above=above, boundary=above[0])


def head_modules(model: Any) -> list[nn.Module]:
    """Return the task-specific modules above the blocks: the LM head, or the pooler and the class head."""
    lm_head = model.get_output_embeddings()
    if lm_head is not None:
        return [lm_head]
    pooler = getattr(model.base_model, "pooler", None)
    heads = (m for m in model.children() if m is not model.base_model and any(True for _ in m.parameters()))
    return [*([pooler] if pooler is not None else []), *heads]


def transformer_blocks(model: PreTrainedModel) -> nn.ModuleList | None:
    """Return the list of transformer blocks of a model: the module list of length `num_hidden_layers`.

    Of an encoder-decoder, these are the blocks of its decoder, the first module list in it.
    """
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        decoder: Any = model.get_decoder()
        return next((m for m in decoder.modules() if isinstance(m, nn.ModuleList)), None)
    num_layers = getattr(config, "num_hidden_layers", None)
    return next((m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == num_layers), None)


def keep_in_evaluation(trunk: Trunk) -> None:
    """Turn off dropout in the trunk permanently, so that its states are always the same, cached or recomputed."""
    for module in trunk.modules:
        _keep_in_evaluation(module)


def keep_statistics(model: nn.Module) -> None:
    """Keep batch normalization that is frozen in evaluation, since training would move its running statistics."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
            _keep_in_evaluation(module)


def _keep_in_evaluation(module: nn.Module) -> None:
    module.eval()
    module.train = functools.partial(_ignore, module)  # type: ignore[method-assign]


def _ignore(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def accept_trunk_states(trunk: Trunk) -> None:
    """Patch the base's `forward` to accept `trunk_states` [B, W, H], with which it runs only the modules above it.

    W is T; if only the head is trained, W is K, and all but the last K columns of the input are dropped. The model must
    have run once without states, to record the output type of its blocks. Models with one state per example accept
    `trunk_states` already.
    """
    if trunk.embeds:
        return
    forward, output_types = trunk.base.forward, set[type]()
    trunk.blocks[0].register_forward_hook(lambda module, args, output: output_types.add(type(output)))

    @functools.wraps(forward)
    def with_states(*args: Any, trunk_states: Tensor | None = None, **kwargs: Any) -> Any:
        if trunk_states is None:
            return forward(*args, **kwargs)
        width = trunk_states.shape[1]
        for name in ("input_ids", "attention_mask"):
            kwargs[name] = kwargs[name][:, -width:]
        with _skipped(trunk, trunk_states, in_tuples=tuple in output_types):
            return forward(*args, **{**kwargs, "use_cache": False})

    trunk.base.forward = with_states


@torch.no_grad()
def trunk_states(trunk: Trunk, inputs: Mapping[str, object]) -> Tensor:
    """Compute the states at the boundary, [B, W, H], without running the modules above it."""
    seen: list[Tensor] = []

    def stop(module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        seen.append(_hidden_states(args, kwargs))
        raise _Reached

    with _hooked(trunk.boundary, stop):
        try:
            trunk.base(**inputs, use_cache=False)
        except _Reached:
            return seen[0]
    raise AssertionError("the forward pass did not reach the trunk's boundary")


class _Reached(Exception):
    """The forward pass has reached the boundary."""


@contextmanager
def _skipped(trunk: Trunk, states: Tensor, *, in_tuples: bool) -> Iterator[None]:
    """Patch frozen blocks to return their input, and pass the states to the boundary."""

    def enter(module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[Any, Any]:
        return ((states, *args[1:]), kwargs) if args else ((), {**kwargs, "hidden_states": states})

    with ExitStack() as stack:
        for block in trunk.blocks:
            stack.enter_context(_passing_on(block, in_tuples=in_tuples))
        stack.enter_context(_hooked(trunk.boundary, enter))
        yield


@contextmanager
def _passing_on(block: nn.Module, *, in_tuples: bool) -> Iterator[None]:
    """Patch a block to return its input; it stays in place, since models read indices and attributes of blocks."""
    own = vars(block).get("forward")  # set by accelerate when it distributes a model over devices

    def hand_on(*args: object, **kwargs: object) -> Any:
        return (_hidden_states(args, kwargs),) if in_tuples else _hidden_states(args, kwargs)

    block.forward = hand_on
    try:
        yield
    finally:
        del block.forward
        if own is not None:
            block.forward = own


@contextmanager
def _hooked(module: nn.Module, hook: Callable[..., object]) -> Iterator[None]:
    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _hidden_states(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    return args[0] if args else kwargs["hidden_states"]


def _outermost(module: nn.Module, above: tuple[nn.Module, ...]) -> Iterator[nn.Module]:
    for child in module.children():
        if child in above:
            continue
        if any(m in above for m in child.modules()):
            yield from _outermost(child, above)
        else:
            yield child


def _ids(module: nn.Module) -> set[int]:
    return {id(p) for p in module.parameters()}
