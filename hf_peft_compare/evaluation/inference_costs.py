"""Inference costs and forgetting of a finished run: checkpoint size, latency, merging, loss on unrelated text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import torch
from transformers import PreTrainedTokenizerBase

from hf_peft_compare.config.identity import data_files
from hf_peft_compare.config.protocol import BASE
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.data.tokenization import TokenizedSplits
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.evaluation.lm_eval_tasks import answer_choices
from hf_peft_compare.evaluation.prediction import score_losses
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import seeded_base
from hf_peft_compare.models.quantization import quantization_of
from hf_peft_compare.quickstart import OUTSIDE_TEXT
from hf_peft_compare.records.answers import Answers
from hf_peft_compare.records.parts import Costs
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.files import write_text_atomically
from hf_peft_compare.utils.hashing import hash_files, hash_json

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

BATCH_SIZES = {1: 5, 32: 3}  # {batch size: number of timed calls}
T = TypeVar("T")
NUM_NEW_TOKENS = 8
NUM_MERGE_EXAMPLES = 32
MAX_OUTSIDE_TOKENS = 128
UNTOUCHED_FOLDER = "cache/untouched"  # in a study's folder, next to its runs


@dataclass
class Measuring:
    """A finished run and everything needed to measure its costs.

    Args:
        test_losses: nats and number of labels of each test example, as scored by the run.
        model_folder: the folder of its tuned parameters.
        cache: the folder that caches the losses of untouched base models for all runs of the study.
        max_seconds: the time after which nothing more is begun.
        notes: reasons why something could not be measured.
    """

    config: RunConfig
    model: Any
    tokenizer: PreTrainedTokenizerBase
    encoded: TokenizedSplits
    test_losses: Sequence[tuple[float, int]]
    model_folder: Path
    cache: Path
    max_seconds: float = math.inf
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=perf_counter)

    def has_time(self, seconds: float = 0.0) -> bool:
        """Whether something that takes so many seconds may still be measured."""
        return perf_counter() - self.started + seconds < self.max_seconds

    def losses(self, model: nn.Module, rows: Sequence[Features], *, batch_size: int = 4) -> tuple[float, int]:
        """Return nats and number of labels, summed over all rows."""
        scored = score_losses(model, self.tokenizer, rows, self.config, batch_size=batch_size)
        return sum(nats for nats, _ in scored), sum(number for _, number in scored)

    @cached_property
    def outside_rows(self) -> list[Features]:
        """The encoded paragraphs of a text unrelated to every task; all tokens but the first are predicted.

        An encoder-decoder reads the first half of each paragraph and predicts the second.
        """
        texts = OUTSIDE_TEXT.read_text(encoding="utf-8").split("\n\n")
        most = min(MAX_OUTSIDE_TOKENS, self.config.max_text_length)
        encoded = [self.tokenizer(text.strip(), verbose=False)["input_ids"][:most] for text in texts]
        apart = head_of(self.config).reads_apart
        return [
            {"input_ids": ids, "num_completion_tokens": len(ids) // 2 if apart else len(ids) - 1} for ids in encoded
        ]


Figures: TypeAlias = Mapping[str, float | int]  # fields of `Costs`
Part = Callable[[Measuring], Figures]


def measure_answers(measuring: Measuring) -> Costs:
    """Let the adapted model and its untouched base answer the study's tasks of lm-evaluation-harness.

    What goes wrong leaves them out, with a note; the run itself is finished.
    """
    config, started = measuring.config, perf_counter()
    context = getattr(measuring.model.config, "max_position_embeddings", None)
    room = context and context - (config.max_length - config.max_text_length)  # the same texts for both

    def answer(model: Any) -> dict[str, str]:
        return answer_choices(model, measuring.tokenizer, config, max_length=room)

    try:
        read = [config.lm_eval, config.lm_eval_limit, _task_files(config), version("lm_eval"), room]
        tuned, untouched = _with_untouched(measuring, answer, read)
        answers = {task: Answers(tuned=bits, untouched=untouched[task]) for task, bits in tuned.items()}
    except Exception as error:
        return Costs(notes=[f"lm_eval: {type(error).__name__}: {error}"])
    return Costs(answers=answers, lm_eval_seconds=perf_counter() - started)


def _task_files(config: RunConfig) -> str | None:
    """Return the hash of the study's own task files; None if there are none."""
    return config.lm_eval_include_path and hash_files(data_files(config.lm_eval_include_path))


def measure_costs(measuring: Measuring) -> Costs:
    """Measure all costs of a finished run; costs that cannot be measured, or in time, are left out, with a note.

    The model cannot be used afterwards: merging destroys it.
    """
    costs: dict[str, Any] = {}  # fields of `Costs`
    for part in PARTS if process_state().num_processes == 1 else PARTS[:1]:
        name = part.__name__.replace("_", " ")
        if part is not checkpoint_size and not measuring.has_time():
            measuring.notes.append(f"{name}: left out, since costs may take {measuring.max_seconds:.0f} s")
            continue
        try:
            costs |= part(measuring)
        except Exception as error:  # the run itself is finished, and its results remain valid
            measuring.notes.append(f"{name}: {type(error).__name__}: {error}")
    return Costs(**costs, costs_seconds=perf_counter() - measuring.started, notes=measuring.notes)


def checkpoint_size(measuring: Measuring) -> Figures:
    """Return "checkpoint_bytes", the size of all files of tuned parameters; empty if nothing was trained."""
    if not measuring.config.method_type.trains:
        return {}
    files = (path for path in measuring.model_folder.rglob("*") if path.is_file())
    return {"checkpoint_bytes": sum(path.stat().st_size for path in files)}


def latency(measuring: Measuring) -> Figures:
    """Return "latency_1_seconds" and "latency_32_seconds", the medians of a few calls of the unmerged model.

    A call generates 8 tokens after test prompts, or classifies test texts; if 32 do not fit into CUDA memory, in parts.
    """
    return _latencies(measuring, measuring.model)


def forgetting(measuring: Measuring) -> Figures:
    """Return "outside_loss" and "untouched_outside_loss" of the adapted and the untouched model, in nats per token.

    Both are measured on the package's own page of plain English, which is unrelated to every task. The untouched model
    is the base as the run loaded it, including quantization.
    """
    if not head_of(measuring.config).generates:
        return {}

    def mean_loss(model: nn.Module) -> dict[str, float]:
        nats, num_tokens = measuring.losses(model, measuring.outside_rows)
        return {"outside_loss": nats / num_tokens}

    tuned, untouched = _with_untouched(measuring, mean_loss, measuring.outside_rows)
    return {**tuned, "untouched_outside_loss": untouched["outside_loss"]}


def merging(measuring: Measuring) -> Figures:
    """Return latencies after merging, and its effect on quality: "unmerged_loss" and "merged_loss".

    The losses are those of the references of the first test examples, at most 32, in nats per label.
    """
    model = measuring.model
    if not measuring.config.method_type.trains or not measuring.config.method_type.mergeable:
        return {}
    try:
        merged = measuring.config.method_type.merge(model)
    except UserError:  # this kind of adapter cannot be merged
        return {}
    if merged is model:  # already a plain model
        return {}
    rows = list(islice(measuring.encoded.splits["test"], NUM_MERGE_EXAMPLES))
    nats, num_labels = map(sum, zip(*measuring.test_losses[: len(rows)], strict=True))
    return {
        "unmerged_loss": nats / num_labels,
        "merged_loss": measuring.losses(merged, rows)[0] / num_labels,
        "num_merge_examples": len(rows),
        **{f"merged_{name}": value for name, value in _latencies(measuring, merged).items()},
    }


# Merging comes last, since it destroys the model.
PARTS: Sequence[Part] = (checkpoint_size, latency, forgetting, merging)


def _latencies(measuring: Measuring, model: PreTrainedModel) -> dict[str, float]:
    """Time calls with the batch sizes of `BATCH_SIZES`: generation of a few tokens, or classification."""
    found: dict[str, float] = {}
    for size, num_calls in BATCH_SIZES.items():
        expected = size * found.get("latency_1_seconds", 0.0)  # at most: larger batches are no slower per text
        if not measuring.has_time(expected):
            measuring.notes.append(f"latency with {size} texts: left out, since a call may take {expected:.0f} s")
            break
        found[f"latency_{size}_seconds"] = _latency(measuring, model, size, num_calls)
    return found


def _latency(measuring: Measuring, model: PreTrainedModel, size: int, num_calls: int) -> float:
    """Return the median time of some calls, or of as many as there is time for, but one."""
    call = _call(measuring, model, size)
    seconds: list[float] = []
    while len(seconds) < num_calls and (not seconds or measuring.has_time(seconds[-1])):
        start = perf_counter()
        call()  # its results are read on the host, which synchronizes the GPU
        seconds.append(perf_counter() - start)
    return median(seconds)


def _call(measuring: Measuring, model: Any, size: int) -> Callable[[], object]:
    """Build a call of the model with one batch of test examples; a batch of one has the example of median length."""
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


def _with_untouched(
    measuring: Measuring, measure: Callable[[Any], dict[str, T]], read: object
) -> tuple[dict[str, T], dict[str, T]]:
    """Return what the run's model gives and what its untouched base gives, which all runs of a study share.

    Args:
        read: what the models read.
    """
    config, tuned = measuring.config, measure(measuring.model)
    path = measuring.cache / UNTOUCHED_FOLDER / f"{_key(measuring, read)}.json"
    is_untouched = not (config.method_type.trains or config.method_type.other_models(config.method_settings))
    if is_untouched or not path.is_file():
        write_text_atomically(path, json.dumps(tuned if is_untouched else measure(_untouched(measuring))))
    return tuned, json.loads(path.read_text())


def _key(measuring: Measuring, read: object) -> str:
    """Hash everything that determines what an untouched base gives; `read` is what it reads."""
    config = measuring.config
    seed = config.seed if config.init == "config" else None
    names = ("init", "attn_implementation", *BASE)
    base = [*(getattr(config, name) for name in names), quantization_of(config), seed]
    return hash_json([base, read, measuring.model.device.type, torch.__version__])


def _untouched(measuring: Measuring) -> Any:
    with torch.random.fork_rng(devices=[]):
        base: Any = seeded_base(measuring.config, measuring.tokenizer)
    return base.requires_grad_(False).to(measuring.model.device)
