"""The cache of the frozen trunk's hidden states: computed once, read in every epoch, by every seed and learning rate.

A cache is a folder named by the hash of everything that determines its values. It holds

    states.bin   the concatenated states of all examples, memory-mapped by readers
    meta.json    their dtype and width, the seconds that computing them took, and the run that filled the cache

It is filled under a temporary name and renamed when complete, so a cache that was cut short by a kill is never read.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import torch
import transformers
from torch import Tensor

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.collators import to_device
from hf_peft_compare.evaluation.batching import map_batches
from hf_peft_compare.models.frozen_trunk import Trunk, trunk_states
from hf_peft_compare.models.trainable_parameters import hash_tensors
from hf_peft_compare.records import parts as records
from hf_peft_compare.training.state_files import (
    META_FILE,
    STATES_FILE,
    Meta,
    allocate,
    is_whole,
    make_room,
    map_states,
    owned_in_turn,
    read_meta,
)
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.hashing import hash_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 1e-2  # of the logits' spread, in bf16 and float32; a difference far above it means another model
Rows = Sequence[Features]


class TrunkStates(Sequence[Tensor]):
    """The states of a split's examples, [number of states, H] each, read from a cache on access."""

    def __init__(self, folder: Path, counts: Sequence[int]):
        self.meta = read_meta(folder)
        self._ends = list(accumulate(counts))
        self._counts = list(counts)
        self._states = map_states(folder / STATES_FILE, self.meta, shared=False)

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, index: Any) -> Any:
        return self._states[self._ends[index] - self._counts[index] : self._ends[index]]


@dataclass(frozen=True, kw_only=True)
class TrunkCache:
    """The caches of one run.

    Args:
        root: the folder of all caches of a study.
        collate: the collator of training, which turns encoded examples into batches.
        bf16: whether the run trains in bf16 autocast; its states are computed the same way.
        filled_by: the run's name.
        max_bytes: the maximum size of all caches of the study together; the least recently used are removed first.
    """

    root: Path
    trunk: Trunk
    collate: Callable[[Rows], dict[str, Any]]
    bf16: bool
    batch_size: int
    filled_by: str
    max_bytes: int

    def fits(self, splits: Sequence[Rows]) -> bool:
        """Return whether the states of these splits fit into the cache together."""
        return planned_bytes(self.trunk, splits) <= self.max_bytes

    def states(self, rows: Rows) -> TrunkStates:
        """Return the states of encoded examples, from the cache or computed now and cached.

        Raises:
            UserError: the cache cannot be written.
        """
        counts = [self.trunk.num_states(row) for row in rows]
        folder = self.root / self.key(rows)
        state = process_state()
        with owned_in_turn(self.root) if state.is_main_process else contextlib.nullcontext():
            state.wait_for_everyone()
            if not is_whole(folder):
                self._fill(folder, rows, counts)
            state.wait_for_everyone()  # the main process names the folder last
            if state.is_main_process:
                (folder / META_FILE).touch()  # records when the cache was last used
            states = TrunkStates(folder, counts)  # from here on it can be read, even if another run removes its files
            state.wait_for_everyone()
        return states

    def key(self, rows: Rows) -> str:
        """Hash everything that determines the states: the trunk's weights and config, tokens, precision, libraries."""
        base = self.trunk.base
        names = ("input_ids", "token_type_ids", "image")
        tokens = [([dict(row)[name] for name in names if name in row], self.trunk.num_states(row)) for row in rows]
        config = {k: v for k, v in base.config.to_dict().items() if k not in ("_name_or_path", "transformers_version")}
        return hash_json(
            {
                "weights": self._weights_hash,
                "config": repr(sorted(config.items(), key=str)),
                "num_blocks": len(self.trunk.blocks),
                "below_head": self.trunk.below_head,
                "embedded_by": self.trunk.embedded_by,
                "images": _versions({image for row in rows if (image := row.get("image")) is not None}),
                "tokens": hash_json(tokens),
                "bf16": self.bf16,
                "attention": base.config._attn_implementation,
                "device": base.device.type,
                "versions": [torch.__version__, transformers.__version__],
            }
        )

    @cached_property
    def _weights_hash(self) -> str:
        modules = enumerate(self.trunk.modules)
        return hash_tensors({f"{i}.{name}": t for i, m in modules for name, t in m.state_dict().items()})

    def agrees(self, model: PreTrainedModel, row: Features) -> bool:
        """Return whether the model computes the same logits of an example's end from its states as from its tokens."""
        inputs = self._inputs([_end_of(row)])
        model.eval()
        try:
            with torch.no_grad(), self._precision():
                expected = model(**inputs).logits
                logits = model(**inputs, trunk_states=trunk_states(self.trunk, inputs)).logits
        except (TypeError, ValueError, RuntimeError, IndexError):  # this forward cannot start above its trunk
            return False
        return bool((logits - expected).abs().max() <= TOLERANCE * expected.std())

    def _fill(self, folder: Path, rows: Rows, counts: Sequence[int]) -> None:
        """Compute all states into a temporary folder, each process its share, and rename it."""
        partial, state = folder.with_name(f".{folder.name}"), process_state()
        start = perf_counter()
        meta = self._meta(rows, counts)
        if state.is_main_process:
            for broken in (partial, folder):  # leftovers of a kill or a disk failure
                shutil.rmtree(broken, ignore_errors=True)
            make_room(self.root, self.max_bytes - meta.num_bytes)
            allocate(partial, meta.num_bytes)
        state.wait_for_everyone()
        self._write(map_states(partial / STATES_FILE, meta, shared=True), rows, counts)
        if state.is_main_process:
            meta = Meta(**{**asdict(meta), "seconds": perf_counter() - start})
            (partial / META_FILE).write_text(json.dumps(asdict(meta)))
            partial.rename(folder)

    def _write(self, states: Tensor, rows: Rows, counts: Sequence[int]) -> None:
        ends = list(accumulate(counts))

        def compute(batch: list[int]) -> list[None]:
            found, mask = self._compute([rows[i] for i in batch])
            for index, row, real in zip(batch, found, mask, strict=True):
                states[ends[index] - counts[index] : ends[index]] = row[real][-counts[index] :]
            return [None] * len(batch)

        lengths = [len(row["input_ids"]) for row in rows]
        map_batches(compute, range(len(rows)), lengths=lengths, batch_size=self.batch_size)

    def _meta(self, rows: Rows, counts: Sequence[int]) -> Meta:
        """Describe the states; dtype and width come from computing those of an example's end."""
        found, _ = self._compute([_end_of(rows[0])])
        return Meta(
            dtype=str(found.dtype).removeprefix("torch."),
            width=found.shape[-1],
            num_states=sum(counts),
            seconds=0.0,
            filled_by=self.filled_by,
        )

    def _compute(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the states at the boundary [B, W, H], and the mask of those that are not padding [B, W]."""
        self.trunk.base.eval()
        inputs = self._inputs(rows)
        with self._precision():
            states = trunk_states(self.trunk, inputs).cpu()
        if self.trunk.embeds:
            return states, torch.ones(states.shape[:2], dtype=torch.bool)
        return states, inputs["attention_mask"][:, -states.shape[1] :].bool().cpu()

    def _inputs(self, rows: Rows) -> dict[str, Any]:
        inputs = to_device(self.collate(rows), self.trunk.base.device)
        return {name: value for name, value in inputs.items() if name != "labels"}

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.trunk.base.device.type, dtype=torch.bfloat16, enabled=self.bf16)


def _versions(paths: Iterable[str]) -> list[list[Any]]:
    """Return path, size and modification time of files, which change when a file is replaced."""
    stats = {path: os.stat(path) for path in sorted(paths)}
    return [[path, stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()]


def _end_of(row: Features, num_tokens: int = 16) -> Features:
    cut = {name: value[-num_tokens:] if isinstance(value, list) else value for name, value in row.items()}
    end = cast("Features", cut)
    if "num_completion_tokens" in end:
        end["num_completion_tokens"] = min(end["num_completion_tokens"], len(end["input_ids"]) - 1)
    return end


def planned_bytes(trunk: Trunk, splits: Sequence[Rows], *, itemsize: int = 4) -> int:
    """Return the size in bytes of some splits' states before computing them; they are float32 in autocast too."""
    num_states = sum(trunk.num_states(row) for rows in splits for row in rows)
    return num_states * trunk.width * itemsize


def describe(states: Iterable[TrunkStates]) -> records.TrunkCache:
    """Return for a record the states' size, the seconds that computing them took, and the runs that did so."""
    metas = [s.meta for s in states]
    return records.TrunkCache(
        num_bytes=sum(meta.num_bytes for meta in metas),
        seconds=sum(meta.seconds for meta in metas),
        filled_by=sorted({meta.filled_by for meta in metas}),
    )


def pays(config: RunConfig, *, trunk: Trunk, num_train: int, on_cpu: bool) -> bool:
    """Return whether caching pays: training states are read more than once, on a device where reading is cheap.

    Embeddings are small and shared with other runs: they are always cached unless the study disables it.
    """
    training = config.training
    if trunk.embeds:
        return training.trunk_cache is not False
    steps_as_epochs = training.max_steps * training.train_batch_size / num_train
    passes = steps_as_epochs if training.max_steps > 0 else training.num_train_epochs
    wanted = training.trunk_cache if training.trunk_cache is not None else on_cpu
    return wanted and passes > 1
