"""Traces: a step or a forward pass executed on the meta device, where tensors have shapes but no memory.

Every storage is tracked from its allocation to its release, and every operation is counted, so the figures are those of
the real model, whatever its architecture and method.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode

from hf_peft_compare.planning.device_emulation import Kernels
from hf_peft_compare.planning.devices import Device, Op
from hf_peft_compare.planning.quantized_sizes import quantized_weights
from hf_peft_compare.utils.flops import count_flops_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CUDA_BLOCK_BYTES = 512  # PyTorch's allocator rounds up to multiples of it
Ops = Counter[Op]


class Ledger(TorchDispatchMode):
    """Track every tensor's storage from its allocation to its release, and count every operation.

    Args:
        block_bytes: the size of a storage is rounded up to multiples of it.
        vocabulary_size: tensors with so many columns are logits.
    """

    def __init__(self, *, block_bytes: int, vocabulary_size: int | None):
        super().__init__()
        self.block_bytes = block_bytes
        self.vocabulary_size = vocabulary_size
        self.ops: Ops = Counter()
        # Part and bytes of every storage ever allocated, by its number.
        self._parts: list[str] = []
        self._num_bytes: list[int] = []
        self._events: list[tuple[int, int]] = []  # (storage, bytes that it allocates or frees)
        self._living: dict[int, int] = {}  # {address: storage}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Execute an operation and record it."""
        output = func(*args, **(kwargs or {}))
        self.ops[_cost(func, args, kwargs or {}, output)] += 1
        for tensor in tensors_in(output):
            self.number(tensor, "logits" if tensor.shape[-1:] == (self.vocabulary_size,) else "activations")
        return output

    def begin(self) -> Ops:
        """Start a new counter of operations and return it."""
        self.ops = Counter()
        return self.ops

    def number(self, tensor: Tensor, part: str = "activations", num_bytes: int | None = None) -> int:
        """Return the number of a tensor's storage; a new storage gets a number and is assigned to this part.

        Args:
            num_bytes: its actual size; None: the size of the tensor.
        """
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._living:
            num_bytes = storage.nbytes() if num_bytes is None else num_bytes
            blocks = -(-num_bytes // self.block_bytes)
            self._living[address] = len(self._parts)
            self._events.append((len(self._parts), blocks * self.block_bytes))
            self._parts.append(part)
            self._num_bytes.append(num_bytes)
            weakref.finalize(storage, self._end, address, blocks * self.block_bytes)
        return self._living[address]

    def _end(self, address: int, num_bytes: int) -> None:
        self._events.append((self._living.pop(address), -num_bytes))

    def mark(self, tensors: Iterable[Tensor | None], part: str) -> int:
        """Assign storages to a part that was unknown when they were allocated; return their bytes."""
        numbers = {self.number(tensor) for tensor in tensors if tensor is not None}
        for number in numbers:
            self._parts[number] = part
        return self.living_bytes(numbers)

    def living_bytes(self, numbers: Set[int]) -> int:
        """Return the total bytes of those storages that are still allocated."""
        return sum(self._num_bytes[number] for number in numbers & set(self._living.values()))

    def peak(self) -> dict[str, int]:
        """Return the bytes by part at the moment of peak memory."""
        now: Counter[str] = Counter()
        at_peak, most, total = dict(now), 0, 0
        for storage, change in self._events:
            now[self._parts[storage]] += change
            total += change
            if total > most:
                most, at_peak = total, dict(now)
        return at_peak


@dataclass(frozen=True, kw_only=True)
class StepTrace:
    """One optimizer step of one micro-batch.

    Args:
        at_peak: bytes by part at the peak.
        gradients_bytes, optimizer_bytes: what training adds to the memory of the weights.
        activations_bytes: distinct storages that the forward pass saves for the backward pass, parameters excluded.
        forward, backward, update: the operations of each.
    """

    at_peak: dict[str, int]
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    forward: Ops
    backward: Ops
    update: Ops


@dataclass(frozen=True, kw_only=True)
class ForwardTrace:
    """One forward pass without gradients.

    Args:
        peak_bytes: peak memory, weights included.
        weights_bytes: bytes of parameters and buffers.
        cache_bytes: keys and values that it leaves in the cache for later tokens.
        ops: the operations.
    """

    peak_bytes: int
    weights_bytes: int
    cache_bytes: int
    ops: Ops


def trace_step(
    model: PreTrainedModel,
    inputs: Mapping[str, object],
    optimizer: Optimizer,
    *,
    device: Device,
    bf16: bool,
    accumulates: bool,
) -> StepTrace:
    """Trace forward pass, backward pass and update once, in the state of training from its second step on.

    Args:
        model: on the meta device.
        inputs: a batch with labels, on the meta device.
        optimizer: over the model's trainable parameters.
        accumulates: whether gradients of an earlier micro-batch already exist.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.train()
    with _tracing(model, inputs, device=device, bf16=bf16) as (ledger, kernels), ExitStack() as hooks:
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
            hook = parameter.register_post_accumulate_grad_hook(lambda p: ledger.mark([p.grad], "gradients") and None)
            hooks.callback(hook.remove)
        gradients_bytes = ledger.mark((parameter.grad for parameter in trained), "gradients")
        update = ledger.begin()
        optimizer.step()  # first, so that its state exists during the passes, as from the second step on
        optimizer_bytes = ledger.mark(tensors_in(list(optimizer.state.values())), "optimizer")
        if optimizer.defaults.get("fused"):  # one operation reads weights, gradients and state, and writes them
            update = Counter({Op(flops=0, num_bytes=2 * (2 * gradients_bytes + optimizer_bytes), half=False): 1})
        if not accumulates:
            optimizer.zero_grad()
        forward = ledger.begin()
        loss, activations_bytes = _forward(model, inputs, ledger, bf16=bf16)
        kernels.forget()
        backward = ledger.begin()
        torch.autograd.backward(loss)
        optimizer.zero_grad()
    return StepTrace(
        at_peak=ledger.peak(),
        gradients_bytes=gradients_bytes,
        optimizer_bytes=optimizer_bytes,
        activations_bytes=activations_bytes,
        forward=forward,
        backward=backward,
        update=update,
    )


def trace_forward(model: PreTrainedModel, inputs: Mapping[str, object], *, device: Device) -> ForwardTrace:
    """Trace one forward pass of evaluation, which is in float32."""
    model.eval()
    with _tracing(model, inputs, device=device, bf16=False) as (ledger, _), torch.no_grad():
        output = model(**inputs)
        cache = getattr(output, "past_key_values", None)
        parts = (cache, getattr(cache, "self_attention_cache", None), getattr(cache, "cross_attention_cache", None))
        layers = [layer for part in parts for layer in getattr(part, "layers", ())]
        kept = [tensor for layer in layers for tensor in (layer.keys, layer.values)]
        cache_bytes = ledger.mark(kept, "cache")
        weights_bytes = ledger.mark([*model.parameters(), *model.buffers()], "weights")
    return ForwardTrace(
        peak_bytes=sum(ledger.peak().values()), weights_bytes=weights_bytes, cache_bytes=cache_bytes, ops=ledger.ops
    )


@contextmanager
def _tracing(
    model: nn.Module, inputs: Mapping[str, Any], *, device: Device, bf16: bool
) -> Iterator[tuple[Ledger, Kernels]]:
    """Trace the block; model and inputs are allocated from the start."""
    ledger = Ledger(
        block_bytes=CUDA_BLOCK_BYTES if device.cuda else 1, vocabulary_size=getattr(model.config, "vocab_size", None)
    )
    packed = {id(weight): ledger.number(weight, "weights", size) for weight, size in quantized_weights(model)}
    kernels = Kernels(cuda=device.cuda, bf16=bf16, packed=packed)
    checkpointed: list[Any] = [m for m in model.modules() if getattr(m, "_gradient_checkpointing_func", None)]
    for module in checkpointed:  # torch disables its modes in a backward pass, which recomputes these blocks
        module._gradient_checkpointing_func = partial(
            module._gradient_checkpointing_func, context_fn=lambda: (nullcontext(), kernels)
        )
    for parameter in model.parameters():
        ledger.number(parameter, "trainables" if parameter.requires_grad else "weights")
    ledger.mark(model.buffers(), "weights")
    ledger.mark(tensors_in(dict(inputs)), "activations")
    with torch.device("meta"), kernels, ledger:
        yield ledger, kernels


def _forward(model: PreTrainedModel, inputs: Mapping[str, object], ledger: Ledger, *, bf16: bool) -> tuple[Tensor, int]:
    """Return the loss, and the bytes that the backward pass needs besides the parameters."""
    from accelerate.utils import convert_outputs_to_fp32

    saved: set[int] = set()

    def keep(tensor: Tensor) -> Tensor:
        saved.add(ledger.number(tensor))
        return tensor

    forward = convert_outputs_to_fp32(model.__call__) if bf16 else model  # like accelerate under autocast
    parameters = set(map(ledger.number, model.parameters()))
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = forward(**inputs).loss
    return loss, ledger.living_bytes(saved - parameters)


def tensors_in(tree: object) -> list[Tensor]:
    """Return the tensors in nested lists, tuples and dictionaries."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        return []
    return [tensor for branch in tree for tensor in tensors_in(branch)]


def _cost(func: Any, args: Any, kwargs: Any, output: Any) -> Op:
    """Return an operation's cost; a view costs nothing but its call."""
    made = tensors_in(output)
    read = tensors_in([args, kwargs])
    half = any(tensor.dtype in (torch.bfloat16, torch.float16) for tensor in read)
    num_bytes = 0 if func.is_view else sum(tensor.numel() * tensor.element_size() for tensor in [*read, *made])
    return Op(flops=count_flops_of(func, args, kwargs, output), num_bytes=num_bytes, half=half)
