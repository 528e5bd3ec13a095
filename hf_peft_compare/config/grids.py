"""Grids: expand a row of a study over lists of settings into one row per combination; works on plain dictionaries."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from hf_peft_compare.config.layers import Tree, merge
from hf_peft_compare.core.errors import UserError, unknown

Methods = Mapping[str, Mapping[str, Any]]
Grid = Mapping[str, Sequence[Any]]
MAX_ROWS = 1_000  # of a study, each of which is checked before anything runs


def find_grids(methods: Methods) -> dict[str, Grid]:
    """Return the grid of every row that has one: {row: {key: values}}.

    Raises:
        UserError: a grid has no keys, or a key has no list of values.
    """
    grids = {row: settings["grid"] for row, settings in methods.items() if settings.get("grid") is not None}
    for row, grid in grids.items():
        if not isinstance(grid, Mapping) or not grid:
            raise UserError(
                f"methods.{row}.grid is {grid!r}; expected lists by key, e.g. {{lora_dropout: [0.0, 0.1]}}."
            )
        for key, values in grid.items():
            if not isinstance(values, list) or not values:
                raise UserError(f"methods.{row}.grid.{key} is {values!r}; expected a list of at least one value.")
            _check_shared(row, methods[row], key)
        check_number(math.prod(map(len, grid.values())), f"methods.{row}.grid")
    return grids


def check_number(num_rows: int, where: str) -> None:
    """Raise UserError for more rows than a study may have."""
    if num_rows > MAX_ROWS:
        raise UserError(
            f"{where} has {num_rows:,} rows; expected at most {MAX_ROWS:,}. Divide it into several studies."
        )


def _check_shared(row: str, settings: Mapping[str, Any], key: str) -> None:
    for part in key.split("."):
        if not isinstance(settings, Mapping) or part not in settings:
            return
        settings = settings[part]
    raise UserError(f"methods.{row} sets {key}, which its grid also varies; remove one of the two.")


def cells(row: str, grid: Grid) -> dict[str, Tree]:
    """Return all combinations of a grid's values, {"row-value-value": {key: value}}, varying the last key fastest.

    Raises:
        UserError: two combinations have the same name.
    """
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    check_names(cell_name(row, values) for values in combinations)
    return {cell_name(row, values): values for values in combinations}


def cell_name(row: str, values: Mapping[str, object]) -> str:
    """Return the name of one combination; characters that a row name may not contain become "_"."""
    return "-".join([row, *(re.sub(r"[^A-Za-z0-9_.-]+", "_", str(value)).strip("_") for value in values.values())])


def row_of(name: str, values: Mapping[str, object]) -> str:
    """Return the name of the row that a combination belongs to."""
    return name.removesuffix(cell_name("", values))


def check_names(names: Iterable[str]) -> None:
    """Raise UserError if two rows have the same name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"two method rows are named {twice[0]!r}; give each its own name. A grid's are <row>-<value>.")


def check_keys(row: str, grid: Grid, valid: Iterable[str]) -> None:
    """Raise UserError for a key that cannot be varied, with the nearest valid key."""
    for key in grid:
        if key not in set(valid):
            raise unknown(f"key of methods.{row}.grid", key, valid)


def expanded(methods: Methods, grids: Mapping[str, Grid], methods_of: Mapping[str, str]) -> dict[str, Tree]:
    """Replace every row with a grid by the rows of its combinations, in one layer of a study.

    Each new row has the settings of the original row; its `grid` holds the values of the keys that this layer lists.

    Args:
        methods_of: {row: method} of rows with a grid, since the method cannot be derived from the new names.
    """
    rows: dict[str, Tree] = {}
    for row, settings in methods.items():
        shared = {key: value for key, value in settings.items() if key != "grid"}
        named = cells(row, grids[row]) if row in grids else {row: {}}
        for name, values in named.items():
            own = {key: values[key] for key in settings.get("grid") or {}} if values else {}
            fixed = {"method": methods_of[row], "grid": own} if values else {}
            rows[name] = merge(rows.get(name, {}), {**shared, **fixed})
    return rows


def grids_of(rows: Methods) -> dict[str, dict[str, list[Any]]]:
    """Return the grids of expanded rows, {row: {key: values}}, in row order; the inverse of `expanded`."""
    grids: dict[str, dict[str, list[Any]]] = {}
    for name, settings in rows.items():
        values = settings.get("grid") or {}
        for key, value in values.items():
            known = grids.setdefault(row_of(name, values), {}).setdefault(key, [])
            known += [value] if value not in known else []
    return grids


def describe_rows(rows: Methods) -> list[str]:
    """Return one label per row or grid, e.g. "lora (num_train_samples 50, 150 × lora_dropout 0.0, 0.1)"."""
    found = grids_of(rows)
    bases = dict.fromkeys(row_of(name, settings.get("grid") or {}) for name, settings in rows.items())
    return [f"{row} ({_describe_grid(found[row])})" if row in found else row for row in bases]


def _describe_grid(grid: Grid) -> str:
    return " × ".join(f"{key} {', '.join(map(str, values))}" for key, values in grid.items())


def reference_cells(row: str, grid: Grid, values: object) -> dict[str, float]:
    """Return the reference value of every combination, {row name: value}; null means that there is no reference value.

    Args:
        values: nested lists, one level per key of the grid.

    Raises:
        UserError: the shape of the lists differs from the grid's.
    """
    flat = _flat(values, [len(listed) for listed in grid.values()], row)
    return {name: value for name, value in zip(cells(row, grid), flat, strict=True) if value is not None}


def _flat(values: object, sizes: Sequence[int], row: str) -> list[Any]:
    if not sizes:
        return [values]
    if not isinstance(values, list) or len(values) != sizes[0]:
        raise UserError(f"references.grids.{row} has {values!r}; expected a list of {sizes[0]}, as in its grid.")
    return [value for inner in values for value in _flat(inner, sizes[1:], row)]
