"""The parts of a run's record: raw numbers in SI units, bytes and nats; None means unknown."""

from __future__ import annotations

from dataclasses import asdict, field, replace
from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.records.answers import Answers
from hf_peft_compare.records.train_labels import TrainLabels


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MethodCard:
    """A method's title and card at the time of the run.

    Args:
        title: the name in tables.
        idea, formula, parameter_count, when_to_use, paper, url, theory: as in `hf_peft_compare.Card`.
    """

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
    """How a score is to be read.

    Args:
        title, unit: as tables show them.
        greater_is_better: its direction.
        note: what else to know when reading it.
    """

    title: str
    unit: str = ""
    greater_is_better: bool = True
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary, without empty texts."""
        return {key: value for key, value in asdict(self).items() if value != ""}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Parameters:
    """Numbers of parameters; shared ones count once.

    Args:
        trainable_params, total_params: of the adapted model, its base included.
    """

    trainable_params: int
    total_params: int

    @property
    def trainable_ratio(self) -> float | None:
        """The share of the parameters that is trained."""
        return self.trainable_params / self.total_params if self.total_params else None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Validation:
    """The best state, which is kept.

    Args:
        best_loss: the lowest validation loss, in the unit of the test loss.
        best_step, best_epoch: when it was reached.
    """

    best_loss: float
    best_step: int
    best_epoch: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Seconds:
    """Wall-clock seconds of each phase of a run.

    Args:
        train: optimizer steps: data, forward and backward passes, updates; and first values that need train texts.
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
        train_peak_allocated_bytes, evaluation_peak_allocated_bytes: peak memory of tensors, above the baseline.
        train_peak_reserved_bytes, evaluation_peak_reserved_bytes: peak memory of the allocator, above the baseline.
        allocated_after_training_bytes: CUDA memory of tensors when training has ended, above the baseline.
        resident_peak_bytes: peak resident memory of the process (main memory).
        weights_bytes, gradients_bytes, optimizer_bytes, activations_bytes: the tensors of training, counted one by one;
            None if nothing was trained.
    """

    baseline_bytes: int | None = None
    train_peak_allocated_bytes: int | None = None
    train_peak_reserved_bytes: int | None = None
    evaluation_peak_allocated_bytes: int | None = None
    evaluation_peak_reserved_bytes: int | None = None
    allocated_after_training_bytes: int | None = None
    resident_peak_bytes: int | None = None
    weights_bytes: int | None = None
    gradients_bytes: int | None = None
    optimizer_bytes: int | None = None
    activations_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrunkCache:
    """The cached hidden states of a frozen trunk.

    Args:
        num_bytes: their size on disk.
        seconds: the time to compute them.
        filled_by: the runs that did so.
    """

    num_bytes: int
    seconds: float
    filled_by: list[str]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Throughput:
    """Tokens, FLOPs and energy, and rates.

    Args:
        num_train_tokens: tokens seen in training, without padding.
        train_flops: FLOPs of all forward and backward passes; None if the run was compiled.
        train_energy_joules: electric energy of the machine in `seconds.train`, by codecarbon; None if it was not asked
            for, or is not known.
        estimated_energy_joules: the part of it that no meter measured.
        num_prompt_tokens, num_generated_tokens: of all test examples.
        train_tokens_per_second, generated_tokens_per_second: their rates.
    """

    num_train_tokens: int | None = None
    train_tokens_per_second: float | None = None
    train_flops: float | None = None
    train_energy_joules: float | None = None
    estimated_energy_joules: float | None = None
    num_prompt_tokens: int | None = None
    num_generated_tokens: int | None = None
    generated_tokens_per_second: float | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Costs:
    """Costs of a finished run's model on disk and at inference, and forgetting.

    Args:
        checkpoint_bytes: size of all files of the trained parameters; None if nothing is saved.
        latency_1_seconds, latency_32_seconds: median time of a call with one test example and with 32.
        outside_loss, untouched_outside_loss: nats per token on a text unrelated to any task, of the adapted model and
            of its base.
        unmerged_loss, merged_loss, num_merge_examples: nats per label of the first test examples, before and after the
            adapter was merged into the weights; None if the method cannot be merged.
        merged_latency_1_seconds, merged_latency_32_seconds: the latencies after merging.
        answers: {task of lm-evaluation-harness: which documents were answered rightly}, where the study asks for it.
        costs_seconds: the time these measurements took, without lm-evaluation-harness.
        lm_eval_seconds: the time that lm-evaluation-harness took.
        notes: why a value could not be measured.
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
    answers: dict[str, Answers] = field(default_factory=dict)
    costs_seconds: float | None = None
    lm_eval_seconds: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HistoryEntry:
    """One logged step of training.

    Args:
        step, epoch: where it was.
        loss, learning_rate, grad_norm: of training; None in an entry of an evaluation.
        eval_loss: the validation loss; None in an entry of training.
    """

    step: int | None = None
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    eval_loss: float | None = None

    @property
    def place(self) -> float:
        """Its x value in a loss curve: the epoch, otherwise the step."""
        return self.epoch if self.epoch is not None else float(self.step or 0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Provenance:
    """Everything needed to reproduce the numbers.

    Args:
        hf_peft_compare, python, versions: versions; None for a package that is not installed.
        commit, dirty: commit of the source tree, and whether tracked files differ from it; None outside a git checkout.
        host, processor, gpu_driver: the machine's name, its CPU's model, and the driver of its GPU, if it has one.
        device, platform: what was trained on, and the operating system.
        num_processes, num_cpus: of the run, and of the machine.
        num_threads, side_by_side: CPU threads of each process; number of runs on the machine at once.
        precision: training precision, "bf16" or "fp32".
        started_at: date and time with its zone.
        data_fingerprint: {split: hash of its examples}.
        inputs: {input: hash of its content}, of local files and plugins, see `hf_peft_compare.config.identity`; None in
            records of older versions.
        split_sources: {split: the split of the dataset that its rows come from}; for one that is cut from train: train.
        num_examples: {split: number of examples}.
        num_dropped: {split: rows left out because they are too long}.
        num_cut: {split: rows whose text was truncated}.
        num_test_in_train: test examples whose texts are in train as well; None: not counted.
        groups: {split: {group: number of examples}}, if examples have groups.
        labels: the class names, if they are derived from the data.
        train_labels: where the labels of train come from, if not from the dataset.
        example_input: the first train example, or test example if nothing is trained, as the model reads it: the text
            that is "read" without a loss, and the text or class that is "learned", or only "scored".
        trusts_remote_code: true if a model could run code of its own; None otherwise.
    """

    hf_peft_compare: str | None = None
    python: str | None = None
    versions: dict[str, str | None] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    device: str | None = None
    host: str | None = None
    processor: str | None = None
    gpu_driver: str | None = None
    num_processes: int | None = None
    num_cpus: int | None = None
    num_threads: int | None = None
    side_by_side: int | None = None
    platform: str | None = None
    precision: str | None = None
    started_at: str | None = None
    data_fingerprint: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] | None = None
    split_sources: dict[str, str] = field(default_factory=dict)
    num_examples: dict[str, int] = field(default_factory=dict)
    num_dropped: dict[str, int] = field(default_factory=dict)
    num_cut: dict[str, int] = field(default_factory=dict)
    num_test_in_train: int | None = None
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    train_labels: TrainLabels | None = None
    example_input: dict[str, str] = field(default_factory=dict)
    trusts_remote_code: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as a dictionary, without the example's texts, and values that are unknown or empty."""
        facts = replace(self, example_input={})
        return {key: value for key, value in asdict(facts).items() if value not in (None, {}, [])}
