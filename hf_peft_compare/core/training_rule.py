"""A training rule: what the training of a method needs beside the gradients of its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


class TrainingRule:
    """What a method's training needs beside gradients, for one run; by default nothing.

    The Trainer calls, in this order, `prepare`, `optimizer` and `start` once, then `loss_term` in every micro-batch and
    `after_step` in every step, and `finish` once. A checkpoint saves `state`, and a resumed run calls `load_state`
    between `start` and its first step.
    """

    def prepare(self, model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> None:
        """Set the adapter's first values from the train batches, before the optimizer is made."""

    def optimizer(self, model: nn.Module, kind: type[Optimizer], settings: Mapping[str, Any]) -> Optimizer | None:
        """Return an optimizer of the rule's own; None: the one of the training settings.

        Args:
            kind: the optimizer class of the training settings.
            settings: its arguments, with the learning rate `lr` and `weight_decay`.
        """
        return None

    def start(self, model: nn.Module, num_steps: int) -> None:
        """Prepare a training of so many steps."""

    def loss_term(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor | None:
        """Return a term to be added to the mean loss of a micro-batch, just after its forward pass; None: no term."""
        return None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Act after a step of the optimizer, the first of which is 1; the gradients are still there."""

    def finish(self, model: nn.Module) -> str | None:
        """Finish the model, in its best state; return a note for the record, if any."""
        return None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must save, as tensors in dictionaries."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
