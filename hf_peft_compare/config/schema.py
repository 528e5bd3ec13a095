"""A study and a run as typed dataclasses: every key with its default and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from functools import cached_property
from typing import Any, Literal

from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.config.layers import Tree, flatten
from hf_peft_compare.config.protocol import NESTED, ROW_PROTOCOL, StudyProtocol
from hf_peft_compare.config.references import References
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import AnyMethod, RangeOrChoices
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.core.settings import (
    STRICT,
    PositiveFloat,
    PositiveInt,
    Seed,
    parse_settings,
)
from hf_peft_compare.records.run_folder import run_name
from hf_peft_compare.utils.hashing import hash_json

# Settings that do not affect scores: changing one does not retrain a finished run. `trunk_cache` is not among them,
# since states that were computed in other batches agree only up to float rounding.
SCORES_DO_NOT_DEPEND_ON = frozenset(
    {
        "costs",
        "tracking.energy",
        "tracking.report_to",
        "training.dataloader_num_workers",
        "training.eval_batch_size",
        "training.logging_steps",
        "training.trunk_cache_max_bytes",
    }
)
# Settings of later versions, which the hash leaves out where they are not set: runs of before stay finished.
ADDED = frozenset({"labels_from", "gguf_file", "lm_eval", "lm_eval_limit", "lm_eval_include_path"})


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
class StudyConfig(StudyProtocol):
    """One study: a task, a base model, the methods to compare, seeds.

    Args:
        name: the study's folder below the output directory.
        title: the report's first line.
        description: what follows it.
        methods: {row name: settings}. A row's `method` is the name of its method (default: the row's name), its
            `training` overrides the study's training settings, `num_train_samples`, `labels_from`, `max_length`,
            `prompt_format`, `system_prompt` and `model_name_or_path` (with revision, GGUF file, tokenizer and
            architecture) the study's own, and all other keys are the method's own settings. A row's `grid` varies any
            of these over lists, e.g. {num_train_samples: [50, 150], training.learning_rate: [1e-4, 1e-3]}: `load_study`
            replaces the row by one row per combination, named by its values, which override any other layer that sets
            these keys.
        seeds: of which every run of a row is one. With one, the verdict speaks of these runs only.
        smallest_difference: the smallest difference in the ranking score that matters, which the verdict judges the
            study's size by; None: .02, and for a loss 2 % of the best row's.
        tune: "auto": find a learning rate for each trained row for which the study sets none; a budget and ranges: tune
            every row by them; None: no tuning.
        plugins: modules with custom methods, tasks, metrics or trackers, which must be loaded before the study
            (`--plugin`).
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
        return self.head_of_base(self.method_type.head(self.method_settings) or self.task_type.head)

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
        unset = {key for key in ADDED if settings.get(key) in (None, [])}
        return hash_json({k: value for k, value in settings.items() if k not in SCORES_DO_NOT_DEPEND_ON | unset})

    @property
    def hash_of_all(self) -> str:
        """Hash of all settings, by which the first versions identified runs."""
        return hash_json(asdict(self))


def run_key(key: str) -> str:
    """Return the dotted key of a row's setting in the run's config."""
    return key if key in ROW_PROTOCOL or key.startswith(tuple(f"{name}." for name in NESTED)) else f"method.{key}"


def method_name(row: str, settings: Mapping[str, Any]) -> str:
    """Return the method of a row: its `method`, or what a setting of its own implies, or else the row's name."""
    implied = {"peft_type": "peft", "checkpoint": "checkpoint", "predictions_from": "predictions"}
    return settings.get("method") or next((implied[key] for key in implied if key in settings), row)
