"""Memory of training by part: weights, gradients, optimizer state and activations, counted tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from hf_peft_compare.utils.sharding import is_sharded, part

KEYS = ("weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes")
ENOUGH = 3  # micro-batches of equal size, since attention keeps more of a padded batch than of one without padding


class MemoryBreakdown(TrainerCallback, ExportableState):
    """Count the bytes of all tensors that one process holds between the forward pass and the end of a step.

    | key               | what is counted                                                                          |
    |-------------------|------------------------------------------------------------------------------------------|
    | weights_bytes     | parameters and buffers, quantized ones as they are stored                                |
    | gradients_bytes   | gradients before the first optimizer step                                                |
    | optimizer_bytes   | the optimizer's tensors after it                                                         |
    | activations_bytes | what autograd saved for the backward pass of the largest micro-batch, beside the weights |

    Memory shared by several tensors counts once; of sharded tensors only this process's shard counts. This is a count
    of tensors, exact on any device, and not the memory held by an allocator: temporary results appear only in
    `PeakCudaMemory`. Copies of weights cast by autocast count as activations.

    With gradient checkpointing activations_bytes is None: the kept inputs of each block are in no autograd graph, and
    recomputed activations are saved and freed within the backward pass. It is also None where weights are sharded over
    processes: weights gathered for a pass could not be distinguished from activations.
    """

    def __init__(self) -> None:
        self.num_bytes: dict[str, int] = {}
        self._watched: list[tuple[int, ...]] = []
        self._uncountable = False

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: object,
    ) -> None:
        """Count the weights."""
        self._uncountable = args.gradient_checkpointing or is_sharded(model)
        self.num_bytes["weights_bytes"] = _num_bytes(_weights(model))

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: object,
    ) -> None:
        """Count the gradients of the first step; all other steps have as many."""
        if "gradients_bytes" not in self.num_bytes:
            self.num_bytes["gradients_bytes"] = _num_bytes(p.grad for p in model.parameters() if p.grad is not None)

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,
        **kwargs: object,
    ) -> None:
        """Count the optimizer state after the first step."""
        if "optimizer_bytes" not in self.num_bytes:
            self.num_bytes["optimizer_bytes"] = _num_bytes(_tensors(optimizer.state.values()))

    @contextmanager
    def watching(self, model: nn.Module, inputs: Mapping[str, object]) -> Iterator[None]:
        """Count one micro-batch's activations, unless enough micro-batches as large in every dimension were counted.

        Larger ones are rare, so most steps are not slowed. The hooks are removed even if the block raises.
        """
        sizes = tuple(size for value in inputs.values() if isinstance(value, Tensor) for size in value.shape)
        num_larger = sum(all(map(int.__le__, sizes, watched)) for watched in self._watched)
        if self._uncountable or num_larger >= ENOUGH:
            yield
            return
        weights = {_address(tensor) for tensor in _weights(model)}
        saved: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor):
            yield
        self._watched.append(sizes)
        num_bytes = sum(size for address, size in saved.items() if address not in weights)
        self.num_bytes["activations_bytes"] = max(self.num_bytes.get("activations_bytes", 0), num_bytes)

    def forget(self) -> None:
        """Reset, after an attempt that ran out of memory."""
        self.num_bytes.clear()
        self._watched.clear()

    def results(self) -> dict[str, int | None]:
        """Return every key of the table above."""
        return {key: self.num_bytes.get(key) for key in KEYS}

    def state(self) -> dict[str, Any]:
        """Return the state that checkpoints save."""
        return {"args": {}, "attributes": {"num_bytes": dict(self.num_bytes)}}


def _weights(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
    for parameter in model.parameters():  # bitsandbytes: the scales of packed weights and the tables of values
        if (state := getattr(parameter, "quant_state", None)) is not None:
            yield from _tensors([vars(state), vars(state.state2) if state.state2 else {}])
        if (scales := getattr(parameter, "SCB", None)) is not None:  # of 8 bits, one per output
            yield scales


def _tensors(values: Iterable[object]) -> Iterator[Tensor]:
    """Yield the tensors in nested dictionaries and sequences."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (Mapping, list, tuple)):
            yield from _tensors(value.values() if isinstance(value, Mapping) else value)


def _num_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the total bytes of the tensors' memory; shared memory counts once."""
    parts = map(part, tensors)
    return sum({_address(tensor): tensor.untyped_storage().nbytes() for tensor in parts}.values())


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
