"""The parts of a run's record: raw numbers in SI units, bytes and nats; None is a number that is not known."""

from __future__ import annotations

from dataclasses import asdict, field
from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MethodCard:
    """A method's title and card as they were when it ran; see `hf_peft_compare.core.method.Card`."""

    title: str
    idea: str = ""
    formula: str = ""
    parameter_count: str = ""
    when_to_use: str = ""
    paper: str = ""
    url: str = ""
    theory: str = ""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScoreDescription:
    """How a score is titled, measured and read."""

    title: str
    unit: str = ""
    greater_is_better: bool = True
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values, without texts that are empty."""
        return {key: value for key, value in asdict(self).items() if value != ""}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Parameters:
    """Numbers of parameters; shared ones count once."""

    trainable_params: int
    total_params: int

    @property
    def trainable_ratio(self) -> float | None:
        """The share of the parameters that is trained."""
        return self.trainable_params / self.total_params if self.total_params else None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Validation:
    """The lowest validation loss, in the unit of the test loss, and when it was reached; its state is what is kept."""

    best_loss: float
    best_step: int
    best_epoch: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Seconds:
    """Wall-clock seconds of each phase of a run.

    Args:
        train: optimizer steps: data, forward and backward passes, updates.
        evaluation: validation during training, test loss, generation.
        save: checkpoints, the best state, the tuned parameters.
        load: data, tokenization, model.
    """

    train: float | None = None
    evaluation: float | None = None
    save: float | None = None
    load: float | None = None

    @property
    def total(self) -> float:
        """Seconds of all phases that were timed."""
        return sum(value or 0.0 for value in (self.train, self.evaluation, self.save, self.load))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Memory:
    """Memory in bytes.

    Args:
        baseline_bytes: CUDA memory allocated before the run loaded anything; None without CUDA, as are the peaks.
        train_peak_allocated_bytes, evaluation_peak_allocated_bytes: most that tensors took at once, above the baseline.
        train_peak_reserved_bytes, evaluation_peak_reserved_bytes: most that the allocator held, above the baseline.
        resident_peak_bytes: most that the process held in main memory.
        weights_bytes, gradients_bytes, optimizer_bytes, activations_bytes: the tensors of training, counted one by one;
            None where nothing was trained.
    """

    baseline_bytes: int | None = None
    train_peak_allocated_bytes: int | None = None
    train_peak_reserved_bytes: int | None = None
    evaluation_peak_allocated_bytes: int | None = None
    evaluation_peak_reserved_bytes: int | None = None
    resident_peak_bytes: int | None = None
    weights_bytes: int | None = None
    gradients_bytes: int | None = None
    optimizer_bytes: int | None = None
    activations_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrunkCache:
    """The cached hidden states of a frozen trunk: their size, the seconds to compute them, the runs that did so."""

    num_bytes: int
    seconds: float
    filled_by: list[str]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Throughput:
    """Tokens and operations, and their rates.

    Args:
        num_train_tokens: tokens seen in training, without padding.
        train_flops: operations of all forward and backward passes; None where the run was compiled.
        num_prompt_tokens, num_generated_tokens: of all test examples.
    """

    num_train_tokens: int | None = None
    train_tokens_per_second: float | None = None
    train_flops: float | None = None
    num_prompt_tokens: int | None = None
    num_generated_tokens: int | None = None
    generated_tokens_per_second: float | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Costs:
    """What a finished run's model takes on disk and in use, and what it forgot.

    Args:
        checkpoint_bytes: all files of the tuned parameters; None where nothing is saved.
        latency_1_seconds, latency_32_seconds: median time of a call with one test example and with 32.
        outside_loss, untouched_outside_loss: nats per token of a text that no task is about, of the adapted model and
            of its base.
        unmerged_loss, merged_loss, num_merge_examples: nats per label of the first test examples, before and after the
            adapter was merged into the weights; None where the method cannot be merged.
        merged_latency_1_seconds, merged_latency_32_seconds: the latencies after merging.
        costs_seconds: what measuring all this took.
        notes: why something could not be measured.
    """

    checkpoint_bytes: int | None = None
    latency_1_seconds: float | None = None
    latency_32_seconds: float | None = None
    outside_loss: float | None = None
    untouched_outside_loss: float | None = None
    unmerged_loss: float | None = None
    merged_loss: float | None = None
    num_merge_examples: int | None = None
    merged_latency_1_seconds: float | None = None
    merged_latency_32_seconds: float | None = None
    costs_seconds: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HistoryEntry:
    """One logged step of training: its loss, or the validation loss."""

    step: int | None = None
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    eval_loss: float | None = None

    @property
    def place(self) -> float:
        """Its place on the axis of a loss curve: the epoch, else the step."""
        return self.epoch if self.epoch is not None else float(self.step or 0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Provenance:
    """What a reader needs to make the numbers again.

    Args:
        hf_peft_compare, python, versions: releases; of a package that is not installed None.
        commit, dirty: of the source tree, and whether tracked files differ from it; None outside of a git checkout.
        precision: "bf16" or "fp32", of training.
        data_fingerprint: {split: hash of its examples}.
        inputs: {input: hash of its content}, of local files and plugins, see `hf_peft_compare.config.identity`; None in
            records of older versions.
        groups: {split: {group: number of examples}}, where examples have groups.
        labels: the names of the classes, where the data decides them.
    """

    hf_peft_compare: str | None = None
    python: str | None = None
    versions: dict[str, str | None] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    device: str | None = None
    num_processes: int | None = None
    num_cpus: int | None = None
    platform: str | None = None
    precision: str | None = None
    started_at: str | None = None
    data_fingerprint: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] | None = None
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values, without what is not known or not of the run's data."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {}, [])}
