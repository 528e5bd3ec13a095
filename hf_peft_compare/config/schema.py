"""The settings of a study and of a run, as typed dataclasses: every key with its default and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.config.layers import Tree, flatten
from hf_peft_compare.config.training import GenerationConfig, TrainingConfig
from hf_peft_compare.core.method import AnyMethod
from hf_peft_compare.core.registry import get_method, get_task
from hf_peft_compare.core.settings import STRICT, NonNegativeInt, PositiveInt, parse_settings
from hf_peft_compare.core.task import AnyTask
from hf_peft_compare.records.run_folder import run_name
from hf_peft_compare.utils.hashing import hash_json

EMBEDDED = "embedded"  # the value of `dataset` and `model_name_or_path` that means the package's own
BASE = ("model_name_or_path", "model_revision", "tokenizer_name_or_path", "architecture")
ROW_PROTOCOL = ("num_train_samples", "max_length", *BASE)  # what a row may set of its study's protocol
# Settings that change no score: a finished run is not trained again when one of them changes. `trunk_cache` is not
# among them, since states that were computed in other batches agree to float rounding only.
SCORES_DO_NOT_DEPEND_ON = frozenset(
    {
        "costs",
        "training.dataloader_num_workers",
        "training.eval_batch_size",
        "training.logging_steps",
        "training.trunk_cache_max_bytes",
    }
)


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class References:
    """Published figures of the experiment that a study reproduces.

    Args:
        source: a neutral label such as "course report, 2024".
        rows: {row of the study: {score name, "trainable_params", "train_seconds" or "peak_allocated_bytes": value}}.
        grids: {row with a grid: [[value]]} of the score that ranks, one level of lists for each key of the study file's
            grid; read into `rows`.
        differences: where our protocol differs from theirs, one sentence each.
    """

    source: str
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    grids: dict[str, list[Any]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class Tune:
    """How the settings of every method are tuned before its runs, with the same budget for each.

    Args:
        budget: of each row, such as "8 trials" or "30 minutes".
        parameters: {row or method: {setting: [values] or {low, high, log}}}, over the methods' own ranges; a training
            setting is named `training.…`.
        seed: of the trials and of what proposes them.
        prune: stop a trial whose validation loss is above the median of those before it.
    """

    budget: str
    parameters: dict[str, Tree] = field(default_factory=dict)
    seed: int = 0
    prune: bool = False

    @property
    def num_trials(self) -> int | None:
        """Trials of each row; None where minutes are given."""
        number, unit = self.budget.split()
        return int(number) if unit.startswith("trial") else None

    @property
    def minutes(self) -> int | None:
        """Minutes of each row; None where trials are given."""
        number, unit = self.budget.split()
        return int(number) if unit.startswith("minute") else None


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyProtocol:
    """What every run of a study shares.

    Args:
        dataset: a hub id, a local folder or file (parquet, jsonl, json, csv), "embedded", or "embedded/statements".
        dataset_config: the hub's config name; a local dataset drops it.
        train_split, validation_split, test_split: names of the splits; a missing validation or test split is cut
            from train, seeded, with the labels in train's proportions where the task has labels.
        num_train_samples, num_validation_samples, num_test_samples: split sizes; None: the whole split. No validation
            (0) will do where nothing is trained.
        balanced_train_samples: choose the train examples so that their labels are as even as the data allows.
        data_seed: seed of the choice of samples, the same for every run of the study.
        model_name_or_path: a hub id, a local folder, or "embedded".
        init: "pretrained", or "config": the architecture with random weights.
        architecture: fields of the model's config, over those of `model_name_or_path`; with `model_type` it is
            enough for `init: config` without any download.
        attn_implementation: "sdpa" takes the fastest kernel that torch has for a batch, "flex_attention" (GPU only)
            skips what is masked, "eager" is slow and takes most memory; None: transformers' choice, sdpa where the
            model has it. Flash Attention's own package works in half precision alone, and evaluation is in float32.
        tokenizer_name_or_path: None: the model's own.
        max_length: tokens of prompt, text and completion together, virtual tokens counted.
        costs: measure latency, merging and forgetting of each run's model once it is scored.
    """

    task: Tree
    dataset: str
    dataset_config: str | None = None
    dataset_revision: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    num_train_samples: PositiveInt | None = None
    num_validation_samples: NonNegativeInt | None = None
    num_test_samples: PositiveInt | None = None
    balanced_train_samples: bool = False
    data_seed: int = 0
    model_name_or_path: str
    model_revision: str | None = None
    init: Literal["pretrained", "config"] = "pretrained"
    architecture: Tree = field(default_factory=dict)
    attn_implementation: str | None = None
    tokenizer_name_or_path: str | None = None
    max_length: PositiveInt = 512
    costs: bool = True
    training: TrainingConfig = field(default_factory=TrainingConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    @cached_property
    def task_type(self) -> AnyTask:
        """The task."""
        return get_task(self.task["name"])

    @cached_property
    def task_settings(self) -> Any:
        """The task's settings as its own frozen dataclass."""
        return parse_settings(self.task_type.settings, self.task, "task")

    @property
    def head_name(self) -> str:
        """The head on top of the base, a name of `models.heads.HEADS`: the task's."""
        return self.task_type.head

    def __getstate__(self) -> Tree:
        """Return the fields alone: what is found by them is found again where they are unpickled."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyConfig(StudyProtocol):
    """One study: a task, a base model, the methods to compare, seeds.

    Args:
        methods: {row name: settings}. A row's `method` says which method it is (default: the row's name), its
            `training` overrides the study's training settings, its `num_train_samples` and `max_length` the study's,
            its `model_name_or_path` the study's base with its revision, tokenizer and architecture, and the rest are
            the method's own settings. A row's `grid` varies any of these over lists, e.g.
            {num_train_samples: [50, 150], training.learning_rate: [1e-4, 1e-3]}: `load_study` puts a row for each
            combination in its place, named by its values, which win over whatever else sets their keys.
        plugins: modules with methods, tasks or metrics of your own, which must be loaded before the study (`--plugin`).
    """

    name: str
    title: str
    description: str = ""
    methods: dict[str, Tree]
    seeds: list[int] = field(default_factory=lambda: [0])
    tune: Tune | None = None
    plugins: list[str] = field(default_factory=list)
    references: References | None = None

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Every run as (row, seed), methods of one seed together."""
        return [(row, seed) for seed in self.seeds for row in self.methods]


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class RunConfig(StudyProtocol):
    """One run, resolved: one row of a study with one seed.

    Args:
        method: the method's name and all its settings.
        grid: {key: value} of what the row's grid varies; empty: it is of none.
        trial: which trial of tuning it is, which trains and validates only; None: a run of the study.
        stop_above: validation losses, one per evaluation, above which training is given up.
    """

    study: str
    row: str
    seed: int
    method: Tree
    grid: Tree = field(default_factory=dict)
    trial: int | None = None
    stop_above: list[float] = field(default_factory=list)

    @property
    def run(self) -> str:
        """The run's name within its study."""
        return run_name(row=self.row, seed=self.seed, trial=self.trial)

    @cached_property
    def method_type(self) -> AnyMethod:
        """The method."""
        return get_method(self.method["name"])

    @cached_property
    def method_settings(self) -> Any:
        """The method's settings as its own frozen dataclass."""
        return parse_settings(self.method_type.settings, self.method, f"method {self.row}")

    @cached_property
    def head_name(self) -> str:
        """The head on top of the base: what the method needs, else the task's."""
        return self.method_type.head(self.method_settings) or self.task_type.head

    @cached_property
    def max_text_length(self) -> int:
        """What the method's virtual tokens leave of `max_length` for prompt and completion."""
        return self.max_length - self.method_type.num_virtual_tokens(self.method_settings)

    @property
    def max_prompt_length(self) -> int:
        """What is left for the prompt when the longest completion is generated after it."""
        return self.max_text_length - self.generation.max_new_tokens

    @property
    def hash(self) -> str:
        """Hash of the settings that decide the run's scores."""
        settings = flatten(asdict(self))
        return hash_json({key: value for key, value in settings.items() if key not in SCORES_DO_NOT_DEPEND_ON})

    @property
    def hash_of_all(self) -> str:
        """Hash of all settings, which is what runs of the first versions are named by."""
        return hash_json(asdict(self))


def run_key(key: str) -> str:
    """Give the dotted key of a run's config that a row's setting stands under."""
    return key if key in ROW_PROTOCOL or key.startswith("training.") else f"method.{key}"


def method_name(row: str, settings: Mapping[str, Any]) -> str:
    """Give the method of a study's row: as said, or `peft` for a bare `peft_type`, or the row's own name."""
    return settings.get("method") or ("peft" if "peft_type" in settings else row)


def local_path(dataset: str) -> Path:
    """Give where a dataset stands if it is a local one; "embedded/…" is a folder of the package's own."""
    return (
        Path(__file__).parents[1] / dataset.replace(EMBEDDED, "quickstart", 1)
        if dataset.startswith(f"{EMBEDDED}/")
        else Path(dataset)
    )
