"""From a study's file and `key=value` overrides to a study."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hf_peft_compare.config import grids
from hf_peft_compare.config.layers import Tree, merge, merge_layers, nested
from hf_peft_compare.config.schema import BASE, EMBEDDED, ROW_PROTOCOL, StudyConfig, local_path, method_name
from hf_peft_compare.config.study import Study
from hf_peft_compare.config.training import TrainingConfig
from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.registry import get_method, get_metric, get_task, is_loaded
from hf_peft_compare.core.settings import parse

if TYPE_CHECKING:
    from datasets import Dataset

STUDIES_FOLDER = Path(__file__).parents[1] / "studies"


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as in YAML 1.2; PyYAML reads it as text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def load_study(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Study:
    """Load a study by its name, its file or as a dictionary, with `key=value` overrides from the command line.

    Raises:
        UserError: no such study, broken YAML, an unknown key or a wrong type.
    """
    command_line: Tree = {}
    for override in overrides:
        command_line = merge(command_line, _parse_override(override))
    if isinstance(source, Mapping):
        return _make_study(dict(source), command_line, name=str(source.get("name", "study")))
    path = _study_path(str(source))
    return _make_study(_read_yaml(path), command_line, name=path.stem)


def _make_study(study: Tree, command_line: Tree, *, name: str) -> Study:
    """Merge the two layers of a study and check them."""
    _check_plugins(merge(study, command_line).get("plugins"))
    given = {"study": _normalize(study), "command line": _normalize(command_line)}
    layers = _with_grids({**given, "study": _with_reference_rows(given["study"])})
    if _is_local(merge(*layers.values()).get("dataset")):
        layers = {name: _without_hub_keys(layer) for name, layer in layers.items()}
    merged, _ = merge_layers([("default", {"name": name}), *layers.items()])
    config = parse(StudyConfig, merged, where=f"study {name}")
    _check_study(config)
    return Study(config=config, layers=layers, tree={"name": config.name, **flatten_layers(*given.values())})


def _check_plugins(names: object) -> None:
    """Raise UserError for plugins that are not loaded: to read a study runs no code that it brings along."""
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"plugins is {names!r}; expected a list of modules, e.g. [my_methods].")
    for name in names:
        if not is_loaded(name):
            raise UserError(
                f"the study needs plugin {name}, which runs code of its own. If you trust it, load it with "
                f"--plugin {name}, or load_plugin({name!r}) in Python."
            )


def flatten_layers(study: Mapping[str, Any], command_line: Mapping[str, Any]) -> Tree:
    """Merge the command line into the study's file, so that one file resolves to the same runs.

    What the command line sets for all rows wins over what a row sets of its own, which therefore goes.
    """
    tree = merge(study, command_line)
    methods = tree.get("methods")
    if not isinstance(methods, Mapping):
        return tree
    kept, shared = set(command_line.get("methods") or {}), set(command_line) & set(ROW_PROTOCOL)
    shared |= set(BASE) if "model_name_or_path" in command_line else set()
    training = set(command_line.get("training") or {})
    rows = {}
    for row, settings in methods.items():
        own = {} if row not in kept else command_line["methods"][row]
        rows[row] = {key: value for key, value in settings.items() if key not in shared or key in own}
        if isinstance(settings.get("training"), Mapping):
            chosen = own.get("training") or {}
            rows[row]["training"] = {k: v for k, v in settings["training"].items() if k not in training or k in chosen}
    return {**tree, "methods": rows}


def list_studies() -> dict[str, StudyConfig]:
    """Give every study of the package by name."""
    return {path.stem: load_study(path.stem).config for path in sorted(STUDIES_FOLDER.glob("*.yaml"))}


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


def _read_yaml(path: Path) -> Tree:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"study file {path} cannot be read: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"study file {path} holds {type(tree).__name__}, expected keys such as task, dataset, methods.")
    return tree


def _parse_override(text: str) -> Tree:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"--set {text!r}: expected key=value, e.g. --set training.num_train_epochs=3")
    try:
        tree: Any = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"--set {text!r}: the value is not YAML: {error}") from None
    return nested(key, tree)


def _normalize(layer: Mapping[str, object]) -> Tree:
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


def _with_grids(layers: Mapping[str, Tree]) -> dict[str, Tree]:
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


def _varied_keys(method: str, grid: Mapping[str, object]) -> list[str]:
    """List the keys that a grid of a method may vary; a method that leaves its own to a library takes any."""
    settings: Any = get_method(method).settings
    own = [*(f.name for f in fields(settings)), *(key for key in ROW_PROTOCOL if key not in BASE)]
    if settings.__pydantic_config__.get("extra") == "allow":
        own += [key for key in grid if "." not in key]
    return [*own, *(f"training.{f.name}" for f in fields(TrainingConfig))]


def _with_reference_rows(layer: Tree) -> Tree:
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


def _is_local(dataset: Dataset) -> bool:
    return dataset is not None and (dataset == EMBEDDED or local_path(str(dataset)).exists())


def _without_hub_keys(layer: Mapping[str, object]) -> Tree:
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
