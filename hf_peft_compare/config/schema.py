"""The settings of a study and of a run, as typed dataclasses: every key with its default and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.config.layers import Tree, flatten
from hf_peft_compare.config.references import References
from hf_peft_compare.config.training import GenerationConfig, TrainingConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import AnyMethod, RangeOrChoices
from hf_peft_compare.core.registry import get_method, get_task
from hf_peft_compare.core.settings import (
    STRICT,
    LocalOrHub,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
    parse_settings,
)
from hf_peft_compare.core.task import AnyTask
from hf_peft_compare.records.run_folder import run_name
from hf_peft_compare.utils.hashing import hash_json

EMBEDDED = "embedded"  # the value of `dataset` and `model_name_or_path` for the data and model in this package
BASE = ("model_name_or_path", "model_revision", "tokenizer_name_or_path", "architecture")
# The study settings that a row may override.
ROW_PROTOCOL = ("num_train_samples", "max_length", "prompt_format", "system_prompt", *BASE)
# Settings that do not affect scores: changing one does not retrain a finished run. `trunk_cache` is not among them,
# since states that were computed in other batches agree only up to float rounding.
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
class Tune:
    """How the settings of every method are tuned before its runs; each row has the same budget.

    Args:
        budget: per row, such as "8 trials" or "30 minutes".
        parameters: {row or method: {setting: [values] or {low, high, log}}}, which override the methods' own ranges; a
            training setting is named `training.…`.
        parallel_trials: how many trials of a row are proposed at a time, and can run at once; the fewer, the more each
            proposal knows of the others.
        seed: of the trials and of the sampler that proposes their settings; not one of the study's.
        prune: stop a trial whose validation loss is above the median of those proposed at earlier times.
    """

    budget: str
    parameters: dict[str, dict[str, RangeOrChoices]] = field(default_factory=dict)
    parallel_trials: PositiveInt = 1
    seed: Seed = 20_011
    prune: bool = False

    @property
    def num_trials(self) -> int | None:
        """Number of trials per row; None if the budget is in minutes."""
        number, unit = self.budget.split()
        return int(number) if unit.startswith("trial") else None

    @property
    def minutes(self) -> int | None:
        """Number of minutes per row; None if the budget is in trials."""
        number, unit = self.budget.split()
        return int(number) if unit.startswith("minute") else None


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyProtocol:
    """The settings that all runs of a study share.

    Args:
        task: the task's `name` and its settings.
        dataset: a Hub id, a local folder or file (parquet, jsonl, json, csv), "embedded", or "embedded/statements".
        dataset_config: the dataset's config name on the Hub; ignored for a local dataset.
        dataset_revision, model_revision: a branch, tag or commit on the Hub; None: the newest.
        train_split, validation_split, test_split: names of the dataset's splits. A validation or test split with the
            name of the train split is cut from it: `num_…_samples` rows, seeded, and stratified by label if the task
            has labels. A single table without splits is cut so too if these names are left at their defaults.
        num_train_samples, num_validation_samples, num_test_samples: split sizes; None: the whole split. 0 validation
            examples are enough if no method of the study trains.
        balanced_train_samples: choose the train examples so that their labels are as balanced as the data allows.
        cluster_column: a column of the dataset; rows with the same value in it are not independent, such as several
            questions on one text.
        data_seed: seed for choosing the examples, the same for every run of the study.
        model_name_or_path: a Hub id, a local folder, or "embedded".
        init: "pretrained", or "config": the architecture with random weights.
        architecture: fields that override the config of `model_name_or_path`; with `model_type` among them,
            `init: config` needs no download.
        attn_implementation: "sdpa" uses the fastest kernel that torch has for a batch, "flex_attention" (GPU only)
            skips masked positions, "eager" is slow and uses the most memory; None: transformers' choice, sdpa if the
            model supports it. The flash-attn package supports half precision only, and evaluation is in float32.
        tokenizer_name_or_path: a Hub id or a local folder; None: the model's own tokenizer.
        prompt_format: how a base that writes reads its prompts: "chat", as messages in its tokenizer's own template,
            with the loss on the assistant's turn; "text", as they are; "auto": as messages if there is a template.
        system_prompt: the system's message of a chat; None: the template's own, if it has one.
        max_length: maximum number of tokens of prompt, text and completion together, including virtual tokens.
        max_dropped_share: largest share of the train and validation rows, each, that are left out because their
            completion does not fit into `max_length`; test rows are never left out.
        costs: measure latency, merging and forgetting of each run's model after scoring.
        training: how rows are trained, of all rows that do not set it themselves.
        generation: how test outputs are generated.
    """

    task: Tree
    dataset: LocalOrHub
    dataset_config: str | None = None
    dataset_revision: str | None = None
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    num_train_samples: PositiveInt | None = None
    num_validation_samples: NonNegativeInt | None = None
    num_test_samples: PositiveInt | None = None
    balanced_train_samples: bool = False
    cluster_column: str | None = None
    data_seed: Seed = 0
    model_name_or_path: LocalOrHub
    model_revision: str | None = None
    init: Literal["pretrained", "config"] = "pretrained"
    architecture: Tree = field(default_factory=dict)
    attn_implementation: str | None = None
    tokenizer_name_or_path: LocalOrHub | None = None
    prompt_format: Literal["auto", "chat", "text"] = "auto"
    system_prompt: str | None = None
    max_length: PositiveInt = 512
    max_dropped_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    costs: bool = True
    training: TrainingConfig = field(default_factory=TrainingConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    @cached_property
    def task_type(self) -> AnyTask:
        """The task."""
        return get_task(self.task["name"])

    @cached_property
    def task_settings(self) -> Any:
        """The task's settings as its own frozen dataclass; raise UserError if two of its columns are the same."""
        settings = parse_settings(self.task_type.settings, self.task, "task")
        columns: dict[str, str] = {}
        for key, column in vars(settings).items():
            if key.endswith("_column") and key != "id_column" and column is not None:
                if column in columns:
                    raise UserError(f"task.{columns[column]} and task.{key} are both {column!r}; expected two columns.")
                columns[column] = key
        return settings

    @property
    def head_name(self) -> str:
        """The head on top of the base, a key of `models.heads.HEADS`: the task's head."""
        return self.task_type.head

    def __getstate__(self) -> Tree:
        """Return the fields only; cached properties are computed again after unpickling."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyConfig(StudyProtocol):
    """One study: a task, a base model, the methods to compare, seeds.

    Args:
        name: the study's folder below the output directory.
        title: the report's first line.
        description: what follows it.
        methods: {row name: settings}. A row's `method` is the name of its method (default: the row's name), its
            `training` overrides the study's training settings, `num_train_samples`, `max_length`, `prompt_format`,
            `system_prompt` and `model_name_or_path` (with its revision, tokenizer and architecture) the study's own,
            and all other keys are the method's own settings. A row's `grid` varies any of these over lists, e.g.
            {num_train_samples: [50, 150], training.learning_rate: [1e-4, 1e-3]}: `load_study` replaces the row by one
            row per combination, named by its values, which override any other layer that sets these keys.
        seeds: of which every run of a row is one. With one, the verdict speaks of these runs only.
        smallest_difference: the smallest difference in the ranking score that matters, which the verdict judges the
            study's size by; None: .02, and for a loss 2 % of the best row's.
        tune: "auto": find a learning rate for each trained row for which the study sets none; a budget and ranges: tune
            every row by them; None: no tuning.
        plugins: modules with custom methods, tasks or metrics, which must be loaded before the study (`--plugin`).
        references: published results, which the report sets beside the study's own.
    """

    name: str
    title: str
    description: str = ""
    methods: dict[str, Tree]
    seeds: list[Seed] = field(default_factory=lambda: [0, 1, 2])
    smallest_difference: PositiveFloat | None = None
    tune: Tune | Literal["auto"] | None = "auto"
    plugins: list[str] = field(default_factory=list)
    references: References | None = None

    @property
    def runs(self) -> list[tuple[str, int]]:
        """All runs as (row, seed), grouped by seed."""
        return [(row, seed) for seed in self.seeds for row in self.methods]


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class RunConfig(StudyProtocol):
    """The resolved config of one run: one row of a study with one seed.

    Args:
        method: the name of the method and all its settings.
        grid: {key: value} of the keys that the row's grid varies; empty: the row is not part of a grid.
        trial: number of the tuning trial, which only trains and validates; None: a run of the study.
        stop_above: validation losses, one per evaluation, above which training stops.
    """

    study: str
    row: str
    seed: Seed
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
        """The head on top of the base: the one the method needs, otherwise the task's."""
        return self.method_type.head(self.method_settings) or self.task_type.head

    @cached_property
    def max_text_length(self) -> int:
        """The maximum number of tokens of prompt and completion: `max_length` minus the method's virtual tokens."""
        try:
            return self.max_length - self.method_type.num_virtual_tokens(self.method_settings)
        except UserError as error:
            raise UserError(f"method {self.row}: {error}") from None

    @property
    def max_prompt_length(self) -> int:
        """The maximum number of prompt tokens that leaves room to generate the longest completion."""
        return self.max_text_length - self.generation.max_new_tokens

    @property
    def hash(self) -> str:
        """Hash of the settings that determine the run's scores."""
        settings = flatten(asdict(self))
        return hash_json({key: value for key, value in settings.items() if key not in SCORES_DO_NOT_DEPEND_ON})

    @property
    def hash_of_all(self) -> str:
        """Hash of all settings, by which the first versions identified runs."""
        return hash_json(asdict(self))


def run_key(key: str) -> str:
    """Return the dotted key of a row's setting in the run's config."""
    return key if key in ROW_PROTOCOL or key.startswith("training.") else f"method.{key}"


def method_name(row: str, settings: Mapping[str, Any]) -> str:
    """Return the method of a row: its `method`, or what a setting of its own implies, or else the row's name."""
    implied = {"peft_type": "peft", "checkpoint": "checkpoint"}
    return settings.get("method") or next((implied[key] for key in implied if key in settings), row)


def local_path(dataset: str) -> Path:
    """Return the path of a dataset if it is local; "embedded/…" is a folder inside this package.

    Raises:
        UserError: "embedded/…" leads out of the package.
    """
    if not dataset.startswith(f"{EMBEDDED}/"):
        return Path(dataset)
    package = Path(__file__).parents[1] / "quickstart"
    path = (package / dataset.removeprefix(f"{EMBEDDED}/")).resolve()
    if not path.is_relative_to(package.resolve()):
        raise UserError(f"dataset {dataset!r} is not in this package; expected embedded, or embedded/statements.")
    return path
