"""Edits of hidden states at the first and last tokens of a prompt, of low rank: LoReFT and DiReFT (Wu et al. 2024).

Each edited block gets a module of its own, which a hook applies to the block's output. The positions follow from the
attention mask, whichever side the padding is on, and from the labels, since only the prompt is edited: never its
completion, neither in training nor in generation, with a cache or without.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.models.frozen_trunk import transformer_blocks
from hf_peft_compare.models.heads import class_head


class Edit(nn.Module):
    """One edit of hidden states [..., H], of rank r: h + Rᵀ(W h + b − R h), or of "direft", h + Rᵀ(W h + b).

    The rows of LoReFT's R are orthonormal whatever its parameter is, so that weight decay cannot shrink them. With "qr"
    it is the Q of a QR decomposition, with "householder" a product of Householder reflections; both reach every R.
    DiReFT's R is free, as in the paper.

    Args:
        width: H.
        r: the rank.
        kind: "loreft" or "direft".
        parametrization: "qr" or "householder".
        dropout: the share of an edited state's numbers that is dropped in training, as in the paper's code.
    """

    def __init__(self, width: int, r: int, *, kind: str, parametrization: str, dropout: float) -> None:
        super().__init__()
        self.kind, self.parametrization = kind, parametrization
        self.source = nn.Linear(width, r)
        self.rotation = nn.Parameter(torch.empty(width, r))
        nn.init.orthogonal_(self.rotation) if kind == "loreft" else nn.init.kaiming_uniform_(self.rotation, a=5**0.5)
        self.dropout = nn.Dropout(dropout)

    @property
    def columns(self) -> Tensor:
        """R transposed [H, r]."""
        if self.kind == "direft":
            return self.rotation
        if self.parametrization == "qr":
            return torch.linalg.qr(self.rotation).Q
        below = self.rotation.tril(diagonal=-1)
        return torch.linalg.householder_product(below, 2 / (1 + (below * below).sum(dim=0)))

    def forward(self, states: Tensor) -> Tensor:
        """Return the edited states."""
        columns, states_32 = self.columns, states.to(self.rotation.dtype)
        change = self.source(states_32)
        if self.kind == "loreft":
            change = change - states_32 @ columns
        edited: Tensor = self.dropout(states_32 + change @ columns.T)
        return edited.to(states.dtype)


class BlockEdits(nn.Module):
    """The edits of one block: of the prompt's first positions and of its last ones, one edit for both if tied."""

    def __init__(self, first: Edit, last: Edit | None) -> None:
        super().__init__()
        self.first, self.last = first, last

    def forward(self, states: Tensor, positions: Positions) -> Tensor:
        """Return states [B, T, H] with those at the positions edited, and all others as they are."""
        if self.last is None:
            return torch.where((positions.first | positions.last)[..., None], self.first(states), states)
        states = torch.where(positions.first[..., None], self.first(states), states)
        return torch.where(positions.last[..., None], self.last(states), states)


@dataclass(frozen=True)
class Positions:
    """Which columns [B, T] are the first and the last ones of each row's prompt."""

    first: Tensor
    last: Tensor


def positions_of(mask: Tensor, num_prompt: Tensor, *, num_first: int, num_last: int) -> Positions:
    """Return the positions to edit; of a short prompt, its first half, rounded down, and its last half are edited.

    Args:
        mask: [B, T], 1 where there is a token.
        num_prompt: [B, 1], the number of tokens of each prompt, with which its row begins.
    """
    place = mask.long().cumsum(dim=1) - 1
    half = num_prompt // 2
    first = (place < half.clamp(max=num_first)) & mask.bool()
    last = (place >= num_prompt - (num_prompt - half).clamp(max=num_last)) & (place < num_prompt) & mask.bool()
    return Positions(first, last)


class Editor:
    """Finds the positions of a forward pass, and edits the blocks' outputs there."""

    def __init__(self, *, num_first: int, num_last: int) -> None:
        self.num_first, self.num_last = num_first, num_last
        self.positions: Positions | None = None
        self.prompt_mask: Tensor | None = None  # [B, T] of the prompts whose continuations are being generated

    def find(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Find the positions before a forward pass; with a cache that holds the prompt there are none."""
        cache = kwargs.get("past_key_values")
        if cache is not None and cache.get_seq_length() > 0:
            self.positions = None
            return
        tokens = kwargs.get("input_ids", args[0] if args else None)
        tokens = kwargs["inputs_embeds"] if tokens is None else tokens
        mask, num_prompt = self._prompts(tokens, kwargs.get("attention_mask"), kwargs.get("labels"))
        self.positions = positions_of(mask, num_prompt, num_first=self.num_first, num_last=self.num_last)

    def _prompts(self, tokens: Tensor, mask: Tensor | None, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mask [B, T] and the number of tokens of each prompt [B, 1].

        A prompt ends before the first label. Without labels all of a text is one, but for what is being generated.
        """
        num_rows, width = tokens.shape[:2]
        if (prompts := self.prompt_mask) is not None:  # beams repeat each prompt, a static cache has a mask of its own
            prompts = prompts.long().repeat_interleave(num_rows // len(prompts), dim=0)
            num_new = width - prompts.shape[1]
            return nn.functional.pad(prompts, (0, num_new), value=1), prompts.sum(dim=1, keepdim=True)
        if mask is None:
            mask = torch.ones(num_rows, width, dtype=torch.long, device=tokens.device)
        num_prompt = mask.long().sum(dim=1, keepdim=True)
        if labels is not None and labels.ndim > 1:
            from_first_label = (labels != -100).long().cumsum(dim=1) > 0
            num_prompt = num_prompt - from_first_label.sum(dim=1, keepdim=True)
        return mask, num_prompt

    def edit(self, module: Any, args: object, output: Any) -> Any:
        """Edit a block's output, a tensor or a tuple that begins with it."""
        if self.positions is None:
            return output
        if isinstance(output, tuple):
            return module.edits(output[0], self.positions), *output[1:]
        return module.edits(output, self.positions)


def add_edits(base: Any, layers: Sequence[int] | None, new: Any, *, num_first: int, num_last: int, tied: bool) -> Any:
    """Freeze a model but for its class head, add edits to its blocks, and return it.

    Args:
        layers: the indices of the edited blocks; None: all.
        new: returns a new edit.
        tied: whether the first and last positions of a block share one edit.

    Raises:
        UserError: the model has no list of blocks, or no block of an index.
    """
    blocks = transformer_blocks(base)
    if blocks is None:
        raise UserError(f"no list of transformer blocks was found in {type(base).__name__}, so none can be edited.")
    chosen = list(range(len(blocks))) if layers is None else list(layers)
    if beyond := [layer for layer in chosen if not 0 <= layer < len(blocks)]:
        raise UserError(f"layers holds {beyond[0]}; the model has {len(blocks)} blocks, 0 to {len(blocks) - 1}.")
    base.requires_grad_(False)
    for parameter in class_head(base).values():
        parameter.requires_grad_(True)
    editor = Editor(num_first=num_first, num_last=num_last)
    base.register_forward_pre_hook(editor.find, with_kwargs=True)
    for layer in chosen:
        separate = not tied and num_first > 0 and num_last > 0
        blocks[layer].edits = BlockEdits(new(), new() if separate else None).to(base.device)
        blocks[layer].register_forward_hook(editor.edit)
    base.continues_from_cache = False  # a prompt that is read in two parts would be edited as two prompts
    if hasattr(base, "generate"):
        _remember_prompts(base, editor)
    return base


def _remember_prompts(base: Any, editor: Editor) -> None:
    """Patch `generate` to remember the prompts, since without a cache each step reads what was generated too."""
    generate = base.generate

    @functools.wraps(generate)
    def remembering(inputs: Tensor | None = None, **settings: Any) -> Any:
        given = settings.get("input_ids", inputs)
        mask = settings.get("attention_mask")
        editor.prompt_mask = torch.ones_like(given) if mask is None and given is not None else mask
        try:
            return generate(inputs, **settings)
        finally:
            editor.prompt_mask = None

    base.generate = remembering
