"""Studies: YAML and command line, deep-merged into frozen dataclasses, with the layer that set each value.

Layers, lowest first: default < method < study < study method < command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import yaml

from hf_peft_compare.config.labels_from import GOLD
from hf_peft_compare.config.layers import Tree, merge_layers, nested
from hf_peft_compare.config.protocol import BASE, NESTED, ROW_PROTOCOL, StudyProtocol
from hf_peft_compare.config.schema import RunConfig, StudyConfig, method_name, run_key
from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.core.settings import defaults_of, parse

LAYERS = ("default", "method", "study", "study method", "command line")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study and the layers it was merged from; resolves into the configs of its runs.

    Args:
        tree: the study as one YAML file would contain it, including overrides from the command line.
    """

    config: StudyConfig
    layers: Mapping[str, Tree]
    tree: Mapping[str, Any]

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any], overrides: Sequence[str] = ()) -> Study:
        """Build a study from a dictionary with the keys of a study file; raise UserError as `load_study` does.

        Examples:
            >>> from hf_peft_compare import load_study
            >>> quickstart = load_study("quickstart")
            >>> Study.from_dict(quickstart.tree, ["seeds=[0, 1]"]).config.seeds
            [0, 1]
        """
        from hf_peft_compare.config.loading import load_study

        return load_study(tree, overrides)

    def to_yaml(self) -> str:
        """Return the study as the text of one YAML file, which resolves to the same runs.

        Examples:
            >>> from hf_peft_compare import load_study
            >>> print(load_study("quickstart").to_yaml()[:17])
            name: quickstart
        """
        return yaml.safe_dump(dict(self.tree), sort_keys=False, allow_unicode=True, width=120)

    def resolve(self, *, row: str, seed: int) -> tuple[RunConfig, dict[str, str]]:
        """Resolve one run; the second return value is the layer that set each dotted key.

        Raises:
            UserError: a row, method or key is unknown, or a value has the wrong type.
        """
        if row not in self.config.methods:
            raise unknown(f"method of study {self.config.name}", row, self.config.methods)
        merged, origins = merge_layers(self._run_layers(row))
        grid = self.config.methods[row].get("grid") or {}
        merged |= {"study": self.config.name, "row": row, "seed": seed, "grid": grid}
        trains = get_method(method_name(row, self.config.methods[row])).trains
        if not trains:
            self._refuse_own_teacher(row)
        merged, origins = _without_unused_teacher(merged, origins, trains=trains)
        run = parse(RunConfig, merged, where=f"study {self.config.name}, method {row}")
        return run, origins

    def resolve_all(self) -> Iterator[tuple[RunConfig, dict[str, str]]]:
        """Resolve every run of the study, in order."""
        return (self.resolve(row=row, seed=seed) for row, seed in self.config.runs)

    @property
    def rows_without_rate(self) -> list[str]:
        """The rows that train and whose learning rate neither the study, nor the row, nor the command line sets."""
        resolved = ((row, *self.resolve(row=row, seed=self.config.seeds[0])) for row in self.config.methods)
        return [
            row
            for row, config, origins in resolved
            if config.method_type.trains and origins["training.learning_rate"] in ("default", "method")
        ]

    def _refuse_own_teacher(self, row: str) -> None:
        """Raise UserError if a row that trains nothing sets a teacher of its own; the study's is not for it."""
        own = self.config.methods[row].get("labels_from")
        if own and not (isinstance(own, Mapping) and own.get("use") == GOLD):
            method = get_method(method_name(row, self.config.methods[row]))
            raise UserError(
                f"study {self.config.name}, method {row}: labels_from is {own}, but {method.name} trains nothing that "
                f"labels could change. Remove it, or set it for a method that trains."
            )

    def _run_layers(self, row: str) -> list[tuple[str, Tree]]:
        method = get_method(method_name(row, self.config.methods[row]))
        task = self.config.task_type
        shared = {f.name for f in fields(StudyProtocol)}
        layers: list[tuple[str, Tree]] = [
            (
                "default",
                defaults_of(StudyProtocol)
                | {"task": defaults_of(task.settings), "method": defaults_of(method.settings)},
            ),
            ("method", {"method": {"name": method.name}}),
        ]
        varied: list[tuple[str, Tree]] = []
        for name, layer in self.layers.items():
            settings = dict(layer.get("methods", {}).get(row, {}))
            own_name = "study method" if name == "study" else name
            varied += [(own_name, _placed(key, value)) for key, value in settings.pop("grid", {}).items()]
            layers.append((name, {key: value for key, value in layer.items() if key in shared}))
            layers.append((own_name, _own(settings)))
        chosen, _ = merge_layers([(name, {"method": layer.get("method", {})}) for name, layer in layers + varied])
        layers.insert(2, ("method", {"training": dict(method.defaults_with(chosen["method"]))}))
        return _with_one_base(layers) + varied


def _without_unused_teacher(merged: Tree, origins: dict[str, str], *, trains: bool) -> tuple[Tree, dict[str, str]]:
    """Return a run's settings without a teacher whose labels it does not use, so that it does not depend on it."""
    teacher = merged["labels_from"]
    unused = teacher is None or (isinstance(teacher, Mapping) and teacher.get("use") == GOLD)
    if trains and not unused:
        return merged, origins
    origin = origins.get("labels_from.use", origins.get("labels_from", "default")) if unused else "method"
    kept = {key: origin for key, origin in origins.items() if not key.startswith("labels_from.")}
    return merged | {"labels_from": None}, kept | {"labels_from": origin}


def _own(settings: Mapping[str, object]) -> Tree:
    """Return the settings of a row in the nested layout of a run's config."""
    protocol = {key: settings[key] for key in (*ROW_PROTOCOL, *NESTED) if key in settings}
    return {**protocol, "method": {k: value for k, value in settings.items() if k != "method" and k not in protocol}}


def _with_one_base(layers: list[tuple[str, Tree]]) -> list[tuple[str, Tree]]:
    """Return the layers without revision, tokenizer and architecture of a base that a later layer replaces."""
    naming = [place for place, (_, layer) in enumerate(layers) if "model_name_or_path" in layer]
    if not naming or merge_layers(layers)[0]["init"] == "config":
        return layers
    defaults, below, above = layers[:1], layers[1 : naming[-1]], layers[naming[-1] :]
    bare = [(name, {key: value for key, value in layer.items() if key not in BASE}) for name, layer in below]
    return defaults + bare + above


def _placed(key: str, value: object) -> Tree:
    """Return one value of a grid in the nested layout of a run's config."""
    return nested(run_key(key), value)
