"""The costs that are easily forgotten, of a finished run: what its model takes on disk and in use, and what it lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import torch
from transformers import PreTrainedTokenizerBase

from hf_peft_compare.config.schema import BASE, RunConfig
from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.tokenization import TokenizedSplits
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.evaluation.prediction import score_losses
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import seeded_base
from hf_peft_compare.models.quantization import quantization_of
from hf_peft_compare.quickstart import OUTSIDE_TEXT
from hf_peft_compare.records.parts import Costs
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.files import write_text_atomically
from hf_peft_compare.utils.hashing import hash_json

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

BATCH_SIZES = {1: 5, 32: 3}  # and how many calls of each are timed
T = TypeVar("T")
NUM_NEW_TOKENS = 8
NUM_MERGE_EXAMPLES = 32
MAX_OUTSIDE_TOKENS = 128
UNTOUCHED_FOLDER = "cache/untouched"  # in a study's folder, beside its runs


@dataclass
class Measuring:
    """A finished run whose costs are measured.

    Args:
        test_losses: nats and number of labels of each test example, as the run was scored.
        model_folder: where its tuned parameters were saved.
        cache: where the losses of untouched bases are kept, for all runs of the study.
        notes: why something could not be measured.
    """

    config: RunConfig
    model: Any
    tokenizer: PreTrainedTokenizerBase
    encoded: TokenizedSplits
    test_losses: Sequence[tuple[float, int]]
    model_folder: Path
    cache: Path
    notes: list[str] = field(default_factory=list)

    def losses(self, model: nn.Module, rows: Sequence[Features], *, batch_size: int = 4) -> tuple[float, int]:
        """Give nats and number of labels of all rows."""
        scored = score_losses(model, self.tokenizer, rows, self.config, batch_size=batch_size)
        return sum(nats for nats, _ in scored), sum(number for _, number in scored)

    @cached_property
    def outside_rows(self) -> list[Features]:
        """The paragraphs of the text outside of every task, encoded; all tokens but the first are predicted."""
        texts = OUTSIDE_TEXT.read_text(encoding="utf-8").split("\n\n")
        most = min(MAX_OUTSIDE_TOKENS, self.config.max_text_length)
        encoded = [self.tokenizer(text.strip(), verbose=False)["input_ids"][:most] for text in texts]
        return [{"input_ids": ids, "num_completion_tokens": len(ids) - 1} for ids in encoded]


Figures: TypeAlias = Mapping[str, float | int]  # fields of `Costs`
Part = Callable[[Measuring], Figures]


def measure_costs(measuring: Measuring) -> Costs:
    """Measure all costs of a finished run; what cannot be measured is left out, and a note says why.

    The model cannot be used afterwards: merging takes it apart.
    """
    start = perf_counter()
    costs: dict[str, Any] = {}  # fields of `Costs`
    for part in PARTS if process_state().num_processes == 1 else PARTS[:1]:
        try:
            costs |= part(measuring)
        except Exception as error:  # the run itself is finished, and its numbers stand
            measuring.notes.append(f"{part.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")
    return Costs(**costs, costs_seconds=perf_counter() - start, notes=measuring.notes)


def checkpoint_size(measuring: Measuring) -> Figures:
    """Give "checkpoint_bytes", the size of all files that keep what was tuned; nothing where nothing was."""
    if not measuring.config.method_type.trains:
        return {}
    files = (path for path in measuring.model_folder.rglob("*") if path.is_file())
    return {"checkpoint_bytes": sum(path.stat().st_size for path in files)}


def latency(measuring: Measuring) -> Figures:
    """Give "latency_1_seconds" and "latency_32_seconds", the medians of a few calls of the model as it is.

    A call writes 8 tokens after test prompts, or classifies test texts; where CUDA has no room for 32, in parts.
    """
    return _latencies(measuring, measuring.model)


def forgetting(measuring: Measuring) -> Figures:
    """Give "outside_loss" and "untouched_outside_loss", of the adapted and of the untouched model, in nats per token.

    They are of the package's own page of plain English, which no task is about. The untouched model is the base as
    the run loaded it, quantized where it was.
    """
    if not head_of(measuring.config).generates:
        return {}
    loss = _mean_loss(measuring, measuring.model)
    untouched = _untouched_loss(measuring, loss if not measuring.config.method_type.trains else None)
    return {"outside_loss": loss, "untouched_outside_loss": untouched}


def merging(measuring: Measuring) -> Figures:
    """Give latencies after merging, and what it did to quality: "unmerged_loss" and "merged_loss".

    The losses are of the references of the first test examples, at most 32, in nats per label.
    """
    model = measuring.model
    if not measuring.config.method_type.trains or not measuring.config.method_type.mergeable:
        return {}
    try:
        merged = measuring.config.method_type.merge(model)
    except UserError:  # of this kind of adapter
        return {}
    if merged is model:  # a plain one already
        return {}
    rows = list(islice(measuring.encoded.splits["test"], NUM_MERGE_EXAMPLES))
    nats, num_labels = map(sum, zip(*measuring.test_losses[: len(rows)], strict=True))
    return {
        "unmerged_loss": nats / num_labels,
        "merged_loss": measuring.losses(merged, rows)[0] / num_labels,
        "num_merge_examples": len(rows),
        **{f"merged_{name}": value for name, value in _latencies(measuring, merged).items()},
    }


# The last one takes the model apart.
PARTS: Sequence[Part] = (checkpoint_size, latency, forgetting, merging)


def _latencies(measuring: Measuring, model: PreTrainedModel) -> dict[str, float]:
    """Time calls of the sizes of `BATCH_SIZES`: prompts that are read and a few tokens written, or texts classified."""
    return {f"latency_{size}_seconds": _latency(measuring, model, size, n) for size, n in BATCH_SIZES.items()}


def _latency(measuring: Measuring, model: PreTrainedModel, size: int, num_calls: int) -> float:
    call = _call(measuring, model, size)
    seconds = []
    for _ in range(num_calls):
        start = perf_counter()
        call()  # its results are read on the host, for which the GPU is waited for
        seconds.append(perf_counter() - start)
    return median(seconds)


def _call(measuring: Measuring, model: Any, size: int) -> Callable[[], object]:
    """Prepare a call of the model with one batch of test examples, all of them, or the one of median length."""
    tokenizer, encoded = measuring.tokenizer, measuring.encoded
    if not encoded.prompts:
        rows = _take(encoded.splits["test"], size, length=lambda row: len(row["input_ids"]))
        return lambda: measuring.losses(model, rows, batch_size=size)
    prompts = _take(encoded.prompts, size, length=len)
    num_tokens = min(NUM_NEW_TOKENS, measuring.config.generation.max_new_tokens)
    generation = GenerationConfig(max_new_tokens=num_tokens, min_new_tokens=num_tokens)
    return lambda: generate_tokens(model, tokenizer, prompts, generation=generation, batch_size=size)


def _take(items: Sequence[T], size: int, *, length: Callable[[T], int]) -> list[T]:
    first = list(islice(cycle(items), max(BATCH_SIZES)))
    return first[:size] if size > 1 else [sorted(first, key=length)[len(first) // 2]]


def _mean_loss(measuring: Measuring, model: PreTrainedModel) -> float:
    nats, num_tokens = measuring.losses(model, measuring.outside_rows)
    return nats / num_tokens


def _untouched_loss(measuring: Measuring, measured: float | None) -> float:
    """Give the untouched base's loss on the same text: measured now, kept by another run, or of a base loaded anew."""
    path = measuring.cache / UNTOUCHED_FOLDER / f"{_key(measuring)}.json"
    if measured is None and path.is_file():
        return float(json.loads(path.read_text())["outside_loss"])
    loss = _mean_loss(measuring, _untouched(measuring)) if measured is None else measured
    write_text_atomically(path, json.dumps({"outside_loss": loss}))
    return loss


def _key(measuring: Measuring) -> str:
    """Hash all that decides an untouched base's loss."""
    config = measuring.config
    seed = config.seed if config.init == "config" else None
    names = ("init", "attn_implementation", *BASE)
    base = [*(getattr(config, name) for name in names), quantization_of(config), seed]
    return hash_json([base, measuring.outside_rows, measuring.model.device.type, torch.__version__])


def _untouched(measuring: Measuring) -> Any:
    with torch.random.fork_rng(devices=[]):
        base: Any = seeded_base(measuring.config, measuring.tokenizer)
    return base.requires_grad_(False).to(measuring.model.device)
