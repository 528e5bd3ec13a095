"""Studies: YAML and the command line, merged deep into frozen dataclasses that know which layer set each value.

Layers, lowest first: default < method < study < study method < command line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare import grids
from hf_peft_compare.entries import get_method, get_metric, get_task
from hf_peft_compare.errors import UserError, unknown
from hf_peft_compare.records import hash_json, run_name
from hf_peft_compare.trees import merge, merge_layers, nested

STUDIES_FOLDER = Path(__file__).parent / "studies"
EMBEDDED = "embedded"  # the value of `dataset` and `model_name_or_path` that means the package's own
STRICT = ConfigDict(extra="forbid")
LAYERS = ("default", "method", "study", "study method", "command line")
BASE = ("model_name_or_path", "model_revision", "tokenizer_name_or_path", "architecture")
ROW_PROTOCOL = ("num_train_samples", "max_length", *BASE)  # what a row may set of its study's protocol

T = TypeVar("T")
PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """How a run trains; names and meanings are those of `transformers.TrainingArguments` unless said otherwise.

    Args:
        train_batch_size: examples per optimizer step over all devices (the effective batch). The micro-batch per
            device is this divided by processes times `gradient_accumulation_steps`, so that the protocol does not
            change with the hardware.
        eval_batch_size: how many of the longest texts are evaluated at once per device. The test split's batches of
            shorter texts have more of them, for no more tokens or logits; no score depends on it.
        early_stopping_patience: evaluations without a better validation loss before training stops; None: never.
        optim: the fused AdamW updates all parameters in one kernel: the same steps as `adamw_torch` to float rounding,
            in less time.
        bf16: None: where the GPU has it.
        torch_compile: compile the model's training steps: fewer, larger kernels, after a minute or more of compiling,
            and again for batches of other shapes; pays on a GPU in long runs. It rounds otherwise: losses agree to
            float tolerance. Operations are not counted in compiled runs; evaluation is not compiled.
        torch_compile_backend: None: inductor, which needs a compiler; "eager" only traces. To name one is to compile.
        packing: put the texts of a micro-batch into one row without padding; losses are the same. For GPUs, with an
            attention that skips what texts do not see of each other (`attn_implementation: flex_attention`, where the
            architecture has it). With any other the mask of the long row costs more than
            the padding it saves, of which texts of similar length have little: steps of 8 texts of 500 tokens took
            five times as long on CPU. Methods with virtual tokens, runs that keep trunk states and architectures
            that cannot tell packed texts apart go unpacked, and their records say so.
        trunk_cache: keep the states of a frozen trunk on disk, so that it is computed once and not in every epoch.
            None: on CPU only; a GPU computes a small trunk faster than its states are read (set true for large ones).
        trunk_cache_max_bytes: what a study's caches may take; a run whose states are larger goes without.
        dataloader_num_workers: processes that put batches together beside the training one. None: 2 where there is a
            GPU, which then need not wait for a batch, else 0, since they would take the cores that train.
    """

    learning_rate: PositiveFloat = 5e-5
    num_train_epochs: PositiveFloat = 3.0
    max_steps: int = -1
    train_batch_size: PositiveInt = 8
    gradient_accumulation_steps: PositiveInt = 1
    eval_batch_size: PositiveInt = 16
    optim: str = "adamw_torch_fused"
    lr_scheduler_type: str = "linear"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: PositiveFloat = 1.0
    eval_strategy: Literal["epoch", "steps"] = "epoch"
    eval_steps: PositiveInt = 500
    logging_steps: PositiveInt = 10
    early_stopping_patience: PositiveInt | None = 2
    bf16: bool | None = None
    gradient_checkpointing: bool = False
    torch_compile: bool = False
    torch_compile_backend: Literal["inductor", "cudagraphs", "aot_eager", "eager"] | None = None
    packing: bool = False
    trunk_cache: bool | None = None
    trunk_cache_max_bytes: PositiveInt = 50_000_000_000
    dataloader_num_workers: NonNegativeInt | None = None


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class GenerationConfig:
    """How test outputs are generated; names and meanings are those of `transformers.GenerationConfig`.

    Args:
        temperature: None: the likeliest token is taken; else tokens are drawn, sharper below 1 and flatter above, in an
            order that the run's seed decides.
        cache_implementation: "dynamic" grows with the text; "static" takes the memory of the longest at once, and on a
            GPU each step is then compiled: a minute or more at first, less per token after. Text is the same. peft's
            own prompt learning has no static cache and generates with a dynamic one.
    """

    max_new_tokens: PositiveInt = 64
    min_new_tokens: NonNegativeInt = 0
    num_beams: PositiveInt = 1
    no_repeat_ngram_size: NonNegativeInt = 0
    repetition_penalty: PositiveFloat = 1.0
    temperature: PositiveFloat | None = None
    cache_implementation: Literal["dynamic", "static"] = "dynamic"


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
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
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
class Protocol:
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

    task: dict[str, Any]
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
    architecture: dict[str, Any] = field(default_factory=dict)
    attn_implementation: str | None = None
    tokenizer_name_or_path: str | None = None
    max_length: PositiveInt = 512
    costs: bool = True
    training: TrainingConfig = field(default_factory=TrainingConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    @property
    def task_settings(self) -> Any:
        """The task's settings as its own frozen dataclass."""
        return _settings(get_task(self.task["name"]).settings, self.task, "task")


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class StudyConfig(Protocol):
    """One study: a task, a base model, the methods to compare, seeds.

    Args:
        methods: {row name: settings}. A row's `method` says which method it is (default: the row's name), its
            `training` overrides the study's training settings, its `num_train_samples` and `max_length` the study's,
            its `model_name_or_path` the study's base with its revision, tokenizer and architecture, and the rest are
            the method's own settings. A row's `grid` varies any of these over lists, e.g.
            {num_train_samples: [50, 150], training.learning_rate: [1e-4, 1e-3]}: `load_study` puts a row for each
            combination in its place, named by its values, which win over whatever else sets their keys.
    """

    name: str
    title: str
    description: str = ""
    methods: dict[str, dict[str, Any]]
    seeds: list[int] = field(default_factory=lambda: [0])
    tune: Tune | None = None
    references: References | None = None

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Every run as (row, seed), methods of one seed together."""
        return [(row, seed) for seed in self.seeds for row in self.methods]


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class RunConfig(Protocol):
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
    method: dict[str, Any]
    grid: dict[str, Any] = field(default_factory=dict)
    trial: int | None = None
    stop_above: list[float] = field(default_factory=list)

    @property
    def run(self) -> str:
        """The run's name within its study."""
        return run_name(row=self.row, seed=self.seed, trial=self.trial)

    @property
    def method_settings(self) -> Any:
        """The method's settings as its own frozen dataclass."""
        return _settings(get_method(self.method["name"]).settings, self.method, f"method {self.row}")

    @property
    def max_text_length(self) -> int:
        """What the method's virtual tokens leave of `max_length` for prompt and completion."""
        return self.max_length - get_method(self.method["name"]).num_virtual_tokens(self.method_settings)

    @property
    def max_prompt_length(self) -> int:
        """What is left for the prompt when the longest completion is generated after it."""
        return self.max_text_length - self.generation.max_new_tokens

    @property
    def hash(self) -> str:
        """Hash of everything that decides the run's numbers."""
        return hash_json(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study with the layers it was merged from, ready to be resolved into runs."""

    config: StudyConfig
    layers: Mapping[str, dict[str, Any]]

    def resolve(self, *, row: str, seed: int) -> tuple[RunConfig, dict[str, str]]:
        """Resolve one run; the second value is the layer that set each dotted key.

        Raises:
            UserError: an unknown row, method or key, a wrong type.
        """
        if row not in self.config.methods:
            raise unknown(f"method of study {self.config.name}", row, self.config.methods)
        merged, origins = merge_layers(self._run_layers(row))
        grid = self.config.methods[row].get("grid") or {}
        merged |= {"study": self.config.name, "row": row, "seed": seed, "grid": grid}
        run = parse(RunConfig, merged, where=f"study {self.config.name}, method {row}")
        return run, origins

    def resolve_all(self) -> Iterator[tuple[RunConfig, dict[str, str]]]:
        """Resolve every run of the study, in order."""
        return (self.resolve(row=row, seed=seed) for row, seed in self.config.runs)

    def _run_layers(self, row: str) -> list[tuple[str, dict[str, Any]]]:
        method = get_method(method_name(row, self.config.methods[row]))
        task = get_task(self.config.task["name"])
        shared = {f.name for f in fields(Protocol)}
        layers: list[tuple[str, dict[str, Any]]] = [
            ("default", _defaults(Protocol) | {"task": _defaults(task.settings), "method": _defaults(method.settings)}),
            ("method", {"method": {"name": method.name}, "training": dict(method.training_defaults)}),
        ]
        varied: list[tuple[str, dict[str, Any]]] = []
        for name, layer in self.layers.items():
            settings = dict(layer.get("methods", {}).get(row, {}))
            own_name = "study method" if name == "study" else name
            varied += [(own_name, _placed(key, value)) for key, value in settings.pop("grid", {}).items()]
            layers.append((name, {key: value for key, value in layer.items() if key in shared}))
            layers.append((own_name, _own(settings)))
        return _with_one_base(layers) + varied


def _own(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out what a row sets as a tree of a run's config."""
    protocol = {key: settings[key] for key in ROW_PROTOCOL if key in settings}
    method = {key: value for key, value in settings.items() if key not in ("method", "training", *ROW_PROTOCOL)}
    return {**protocol, "training": settings.get("training") or {}, "method": method}


def _with_one_base(layers: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Leave out the revision, tokenizer and architecture of every pretrained base but the one that is named last."""
    naming = [place for place, (_, layer) in enumerate(layers) if "model_name_or_path" in layer]
    if not naming or merge_layers(layers)[0]["init"] == "config":
        return layers
    defaults, below, above = layers[:1], layers[1 : naming[-1]], layers[naming[-1] :]
    bare = [(name, {key: value for key, value in layer.items() if key not in BASE}) for name, layer in below]
    return defaults + bare + above


def run_key(key: str) -> str:
    """Give the dotted key of a run's config that a row's setting stands under."""
    return key if key in ROW_PROTOCOL or key.startswith("training.") else f"method.{key}"


def _placed(key: str, value: Any) -> dict[str, Any]:
    """Lay out one value of a grid as a tree of a run's config."""
    return nested(run_key(key), value)


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as in YAML 1.2; PyYAML reads it as text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def load_study(name_or_path: str, overrides: Sequence[str] = ()) -> Study:
    """Load a study by its name or its file, with `key=value` overrides from the command line.

    Raises:
        UserError: no such study, broken YAML, an unknown key or a wrong type.
    """
    path = _study_path(name_or_path)
    study = _read_yaml(path)
    command_line: dict[str, Any] = {}
    for override in overrides:
        command_line = merge(command_line, _parse_override(override))
    layers = {"study": _with_reference_rows(_normalise(study)), "command line": _normalise(command_line)}
    layers = _with_grids(layers)
    if _is_local(merge(*layers.values()).get("dataset")):
        layers = {name: _without_hub_keys(layer) for name, layer in layers.items()}
    merged, _ = merge_layers([("default", {"name": path.stem}), *layers.items()])
    config = parse(StudyConfig, merged, where=f"study {path.stem}")
    _check_study(config)
    return Study(config=config, layers=layers)


def list_studies() -> dict[str, StudyConfig]:
    """Give every study of the package by name."""
    return {path.stem: load_study(path.stem).config for path in sorted(STUDIES_FOLDER.glob("*.yaml"))}


def method_name(row: str, settings: Mapping[str, Any]) -> str:
    """Give the method of a study's row: as said, or `peft` for a bare `peft_type`, or the row's own name."""
    return settings.get("method") or ("peft" if "peft_type" in settings else row)


def parse(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Make a typed dataclass of a mapping.

    Raises:
        UserError: one line per unknown key (with the nearest valid one) and per wrong value.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        problems = "; ".join(_describe(problem, kind) for problem in error.errors())
        raise UserError(f"{where}: {problems}") from None


def _describe(problem: Any, kind: type) -> str:
    *parents, last = [str(part) for part in problem["loc"]] or [""]
    key = ".".join([*parents, last])
    if problem["type"] == "unexpected_keyword_argument":
        valid = _valid_keys(kind, parents)
        nearest = difflib.get_close_matches(last, valid, n=1, cutoff=0.5)
        hint = f" Did you mean {'.'.join([*parents, nearest[0]])!r}?" if nearest else ""
        return f"unknown key {key!r}.{hint} Valid: {', '.join(valid)}"
    if problem["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"key {key!r} is missing; set it in the study file or with --set {key}=…"
    return f"{key} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _valid_keys(kind: Any, parents: Sequence[str]) -> list[str]:
    nested = {"training": TrainingConfig, "generation": GenerationConfig, "references": References, "tune": Tune}
    for parent in parents:
        kind = nested.get(parent, kind)
    return sorted(f.name for f in fields(kind))


def _defaults(kind: Any) -> dict[str, Any]:
    """Defaults of a dataclass as a tree; required fields are left out."""
    tree: dict[str, Any] = {}
    for f in fields(kind):
        if f.default is not MISSING:
            tree[f.name] = f.default
        elif f.default_factory is not MISSING:
            value: Any = f.default_factory()
            tree[f.name] = asdict(value) if is_dataclass(value) else value  # type: ignore[arg-type]
    return tree


def _settings(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    return parse(kind, {key: value for key, value in values.items() if key != "name"}, where=where)


def _study_path(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UserError(
                f"no study file {path}. Give a path to a YAML file, or one of the names of `hf-peft-compare list`."
            )
        return path
    path = STUDIES_FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        raise unknown("study", name_or_path, (p.stem for p in STUDIES_FOLDER.glob("*.yaml")))
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"study file {path} cannot be read: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"study file {path} holds {type(tree).__name__}, expected keys such as task, dataset, methods.")
    return tree


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"--set {text!r}: expected key=value, e.g. --set training.num_train_epochs=3")
    try:
        tree: Any = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"--set {text!r}: the value is not YAML: {error}") from None
    return nested(key, tree)


def _normalise(layer: dict[str, Any]) -> dict[str, Any]:
    """Spell out the short forms: `task: summarization`, a list of method names, a method without settings."""
    layer = dict(layer)
    if isinstance(layer.get("task"), str):
        layer["task"] = {"name": layer["task"]}
    methods = layer.get("methods")
    if isinstance(methods, list) and all(isinstance(name, str) for name in methods):
        methods = {name: {} for name in methods}
    if isinstance(methods, dict):
        layer["methods"] = {row: settings or {} for row, settings in methods.items()}
    return layer


def _with_grids(layers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Put a row for each of its combinations in the place of every row with a grid.

    Raises:
        UserError: a key that cannot be varied, no list of values, two rows of one name.
    """
    study, command_line = (layer.get("methods") or {} for layer in layers.values())
    if not all(isinstance(value, Mapping) for part in (study, command_line) for value in (part, *part.values())):
        return dict(layers)  # for the types to be refused with all other errors
    merged = merge(study, command_line)
    found = grids.find_grids(merged)
    methods = {row: method_name(row, merged[row]) for row in found}
    for row, grid in found.items():
        grids.check_keys(row, grid, _varied_keys(methods[row], grid))
    named = [name for row, grid in found.items() for name in grids.cells(row, grid)]
    grids.check_names([*named, *(row for row in study if row not in found)])
    return {
        name: {**layer, "methods": grids.expanded(layer["methods"], found, methods)} if "methods" in layer else layer
        for name, layer in layers.items()
    }


def _varied_keys(method: str, grid: Mapping[str, Any]) -> list[str]:
    """List the keys that a grid of a method may vary; a method that leaves its own to a library takes any."""
    settings: Any = get_method(method).settings
    own = [*(f.name for f in fields(settings)), *(key for key in ROW_PROTOCOL if key not in BASE)]
    if settings.__pydantic_config__.get("extra") == "allow":
        own += [key for key in grid if "." not in key]
    return [*own, *(f"training.{f.name}" for f in fields(TrainingConfig))]


def _with_reference_rows(layer: dict[str, Any]) -> dict[str, Any]:
    """Read the references' grids, which have the lists of the study file's own, into the references of rows.

    Raises:
        UserError: references of a row without a grid, or of another shape than it.
    """
    references = layer.get("references")
    if not isinstance(references, Mapping) or not isinstance(references.get("grids"), Mapping):
        return layer
    score = get_metric(get_task(layer["task"]["name"]).metrics[0]).scores[0].name
    found, rows = grids.find_grids(layer["methods"]), dict(references.get("rows") or {})
    for row, values in references["grids"].items():
        if row not in found:
            raise unknown("row of references.grids", row, found)
        cells = grids.reference_cells(row, found[row], values)
        rows = merge(rows, {name: {score: value} for name, value in cells.items()})
    return {**layer, "references": {**references, "rows": rows}}


def _is_local(dataset: Any) -> bool:
    return dataset is not None and (dataset == EMBEDDED or local_path(str(dataset)).exists())


def local_path(dataset: str) -> Path:
    """Give where a dataset stands if it is a local one; "embedded/…" is a folder of the package's own."""
    return Path(__file__).parent / dataset if dataset.startswith(f"{EMBEDDED}/") else Path(dataset)


def _without_hub_keys(layer: dict[str, Any]) -> dict[str, Any]:
    """Drop what only a hub dataset has, so that `--set dataset=my_folder` is enough."""
    return {key: value for key, value in layer.items() if key not in ("dataset_config", "dataset_revision")}


def _check_study(config: StudyConfig) -> None:
    """Raise UserError for what types alone do not tell."""
    if "name" not in config.task:
        raise UserError(
            f"study {config.name}: task has no name; write `task: summarization` or `task: {{name: summarization, …}}`."
        )
    get_task(config.task["name"])
    if not config.methods:
        raise UserError(f"study {config.name}: no methods; name at least one, e.g. `methods: {{lora: {{}}}}`.")
    if config.tune is not None and not re.fullmatch(r"[1-9]\d* (trial|minute)s?", config.tune.budget):
        raise UserError(
            f"study {config.name}: tune.budget is {config.tune.budget!r}; expected e.g. '8 trials' or '30 minutes'."
        )
    if not config.seeds or len(set(config.seeds)) != len(config.seeds):
        raise UserError(f"study {config.name}: seeds is {config.seeds}; expected at least one, each once.")
    for row, settings in config.methods.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", row):
            raise UserError(
                f"study {config.name}: method row {row!r}; expected letters, digits, '_', '-' and '.' only."
            )
        get_method(method_name(row, settings))
