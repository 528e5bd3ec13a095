"""Load a study from its file and `key=value` overrides."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.config import grids
from hf_peft_compare.config.layers import Tree, merge, merge_layers, nested, plain
from hf_peft_compare.config.protocol import BASE, EMBEDDED, NESTED, ROW_PROTOCOL, local_path
from hf_peft_compare.config.schema import StudyConfig, Tune, method_name
from hf_peft_compare.config.study import Study
from hf_peft_compare.config.yaml_text import read_yaml_text
from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.registry import choose_metrics, get_method, get_task, is_loaded
from hf_peft_compare.core.settings import parse

if TYPE_CHECKING:
    from datasets import Dataset

STUDIES_FOLDER = Path(__file__).parents[1] / "studies"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")  # of a study or row, which is a folder's too
NAME_RULE = "expected letters, digits, '_', '-' and '.' only, a letter or digit first, and at most 200"
MAX_BYTES = 10_000_000  # of a study file


def load_study(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Study:
    """Load a study by name, from a file or from a dictionary, with `key=value` overrides from the command line.

    Raises:
        UserError: the study does not exist, its YAML is invalid, a key is unknown or a value has the wrong type.
    """
    command_line: Tree = {}
    for override in overrides:
        command_line = merge(command_line, _parse_override(override))
    if isinstance(source, Mapping):
        name = source.get("name")
        return _make_study(dict(source), command_line, name=name if isinstance(name, str) else "study")
    path = _study_path(str(source))
    return _make_study(_read_yaml(path), command_line, name=path.stem)


def _make_study(study: Tree, command_line: Tree, *, name: str) -> Study:
    """Return the study merged from its two layers, after checking it."""
    study, command_line = plain(study, f"study {name}"), plain(command_line, "--set")
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
    """Raise UserError for plugins that are not loaded, since reading a study must not run the code it names."""
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"plugins is {names!r}; expected a list of modules, e.g. [my_methods].")
    for name in names:
        if not is_loaded(name):
            raise UserError(
                f"the study needs plugin {name}, which runs its own code. If you trust it, load it with "
                f"--plugin {name}, or load_plugin({name!r}) in Python."
            )


def flatten_layers(study: Mapping[str, Any], command_line: Mapping[str, Any]) -> Tree:
    """Return the study with the command line merged into it, so that one file resolves to the same runs.

    Settings on the command line for all rows override those of single rows, which are therefore removed.
    """
    tree = merge(study, command_line)
    methods = tree.get("methods") or {}
    kept, shared = set(command_line.get("methods") or {}), set(command_line) & set(ROW_PROTOCOL)
    shared |= set(BASE) if "model_name_or_path" in command_line else set()
    parts = {key: set(value) for key in NESTED if isinstance(value := command_line.get(key), Mapping)}
    rows = {}
    for row, settings in methods.items():
        own = {} if row not in kept else command_line["methods"][row]
        rows[row] = {key: value for key, value in settings.items() if key not in shared - set(parts) or key in own}
        for key in parts.keys() & settings.keys():
            chosen = own.get(key) or {}
            rows[row][key] = settings[key] and {
                k: v for k, v in settings[key].items() if k not in parts[key] or k in chosen
            }
    return {**tree, "methods": rows}


def list_studies() -> dict[str, StudyConfig]:
    """Return every built-in study by name."""
    return {path.stem: load_study(path.stem).config for path in sorted(STUDIES_FOLDER.glob("*.yaml"))}


def is_study(name_or_path: str) -> bool:
    """Return whether this names a built-in study or a YAML file, which may not exist."""
    return Path(name_or_path).suffix in (".yaml", ".yml") or os.path.isfile(STUDIES_FOLDER / f"{name_or_path}.yaml")


def _study_path(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not os.path.isfile(path):
            raise UserError(
                f"study file {path} does not exist. Pass the path of a YAML file, or a name that "
                f"`hf-peft-compare list` shows."
            )
        return path
    path = STUDIES_FOLDER / f"{name_or_path}.yaml"
    if not os.path.isfile(path):
        raise unknown("study", name_or_path, (p.stem for p in STUDIES_FOLDER.glob("*.yaml")))
    return path


def _read_yaml(path: Path) -> Tree:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} characters")
        tree = read_yaml_text(text)
    except (OSError, ValueError) as error:
        raise UserError(f"study file {path} cannot be read: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"study file {path} holds {type(tree).__name__}; expected keys such as task, dataset, methods.")
    return tree


def _parse_override(text: str) -> Tree:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"--set {text!r}: expected key=value, e.g. --set training.num_train_epochs=3")
    try:
        tree = read_yaml_text(value)
    except ValueError as error:
        raise UserError(f"--set {text!r}: the value is not valid YAML: {error}") from None
    return nested(key, tree)


def _normalize(layer: Mapping[str, Any]) -> Tree:
    """Return a layer with its short forms expanded: a task's name, a list of method names, methods without settings.

    Raises:
        UserError: what has parts is a number, a text or a list.
    """
    layer = dict(layer)
    if isinstance(layer.get("task"), str):
        layer["task"] = {"name": layer["task"]}
    if isinstance(methods := layer.get("methods"), list):
        if not all(isinstance(name, str) for name in methods):
            raise UserError(
                f"methods is {methods!r}; expected names, or settings by row: {{lora: {{r: 8}}, full: {{}}}}."
            )
        grids.check_names(methods)
        layer["methods"] = dict.fromkeys(methods)
    for key in ("task", "methods", "training", "tracking", "references"):
        if key in layer:
            layer[key] = _mapping(layer[key], key)
    rows: Tree = layer.get("methods", {})
    for row, settings in rows.items():
        rows[row] = own = _mapping(settings, f"methods.{row}")
        if "training" in own:
            own["training"] = _mapping(own["training"], f"methods.{row}.training")
    return layer


def _mapping(value: object, where: str) -> Tree:
    """Return a copy of a mapping, empty for None; raise UserError for anything else."""
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{where} is {value!r}; expected settings by name, such as {{key: value}}.")
    return dict(value or {})


def _with_grids(layers: Mapping[str, Tree]) -> dict[str, Tree]:
    """Replace every row with a grid by one row per combination.

    Raises:
        UserError: a key cannot be varied or has no list of values, or two rows have the same name.
    """
    study, command_line = (layer.get("methods") or {} for layer in layers.values())
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
    """Return the keys that a grid of a method may vary; a method that passes its settings to a library accepts any."""
    settings: Any = get_method(method).settings
    own = [*(f.name for f in fields(settings)), *(key for key in ROW_PROTOCOL if key not in BASE)]
    if settings.__pydantic_config__.get("extra") == "allow":
        own += [key for key in grid if "." not in key]
    return [*own, *(f"{key}.{f.name}" for key, kind in NESTED.items() for f in fields(kind))]


def _with_reference_rows(layer: Tree) -> Tree:
    """Return a layer whose reference grids, shaped like the grids of the study file, are added to the reference rows.

    Raises:
        UserError: a reference grid belongs to a row without a grid, or its shape differs.
    """
    references, task = layer.get("references", {}), layer.get("task", {})
    if not isinstance(references.get("grids"), Mapping) or "name" not in task:
        return layer
    score = choose_metrics(task.get("metrics") or get_task(task["name"]).metrics)[0].scores[0].name
    found, rows = grids.find_grids(layer.get("methods", {})), _mapping(references.get("rows"), "references.rows")
    for row, values in references["grids"].items():
        if row not in found:
            raise unknown("row of references.grids", row, found)
        cells = grids.reference_cells(row, found[row], values)
        rows = merge(rows, {name: {score: value} for name, value in cells.items()})
    return {**layer, "references": {**references, "rows": rows}}


def _is_local(dataset: Dataset) -> bool:
    return dataset is not None and (dataset == EMBEDDED or os.path.exists(local_path(str(dataset))))


def _without_hub_keys(layer: Mapping[str, object]) -> Tree:
    """Return a layer without the keys of Hub datasets, so that `--set dataset=my_folder` is enough."""
    return {key: value for key, value in layer.items() if key not in ("dataset_config", "dataset_revision")}


def _check_study(config: StudyConfig) -> None:
    """Raise UserError for invalid values that the types alone do not catch."""
    if "name" not in config.task:
        raise UserError(
            f"study {config.name}: task has no name; write `task: summarization` or `task: {{name: summarization, …}}`."
        )
    if not NAME.fullmatch(config.name):
        raise UserError(f"study name {config.name!r}: {NAME_RULE}, since it names a folder; set `name`.")
    get_task(config.task["name"])
    if not config.methods:
        raise UserError(f"study {config.name}: no methods; name at least one, e.g. `methods: {{lora: {{}}}}`.")
    if isinstance(config.tune, Tune) and config.tune.seed in config.seeds:
        raise UserError(
            f"study {config.name}: tune.seed is {config.tune.seed}, one of seeds {config.seeds}: that run would be "
            f"the trial that was selected, with its luck. Set another number, or remove tune.seed."
        )
    if isinstance(config.tune, Tune) and not re.fullmatch(r"[1-9]\d{0,5} (trial|minute)s?", config.tune.budget):
        raise UserError(
            f"study {config.name}: tune.budget is {config.tune.budget!r}; expected e.g. '8 trials' or '30 minutes'."
        )
    if isinstance(config.tune, Tune) and config.tune.parallel_trials > (config.tune.num_trials or math.inf):
        raise UserError(
            f"study {config.name}: tune.parallel_trials is {config.tune.parallel_trials}, but a row has "
            f"{config.tune.budget}; set it to {config.tune.num_trials} or less, best to a quarter of the trials."
        )
    if not config.seeds or len(set(config.seeds)) != len(config.seeds):
        raise UserError(f"study {config.name}: seeds is {config.seeds}; expected at least one seed, and no duplicates.")
    grids.check_number(len(config.methods), f"study {config.name}")
    for row, settings in config.methods.items():
        if not NAME.fullmatch(row):
            raise UserError(f"study {config.name}: method row {row!r}; {NAME_RULE}.")
        get_method(method_name(row, settings))
    if isinstance(config.tune, Tune):
        known = {*config.methods, *(method_name(row, settings) for row, settings in config.methods.items())}
        for name in config.tune.parameters.keys() - known:
            raise unknown("row or method of tune.parameters", name, known)
