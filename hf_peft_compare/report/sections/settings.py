"""Hyper-parameters: those that differ between rows, with the layer that set them, and those in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hf_peft_compare.report.blocks import MANY_ROWS, Block, Cell, Material, Section, Table, text_table
from hf_peft_compare.utils.formatting import UNKNOWN

IDENTITY = {"study", "row", "seed", "grid"}
LONGEST = 160


def render_settings(material: Material) -> list[Block]:
    """Return tables of the settings of every row that has a record."""
    records = {row.label: row.record for row in material.comparison.rows if row.record}
    if not records:
        return []
    configs = {label: flatten(record.config) for label, record in records.items()}
    origins = {label: record.config_origins for label, record in records.items()}
    common, differing = split_common(configs)
    return [*_differing(configs, origins, differing), *_common(configs, origins, common)]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {dotted key: value}, without the keys that only identify the run."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if not prefix and key in IDENTITY:
            continue
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def split_common(configs: Mapping[str, Mapping[str, object]]) -> tuple[list[str], list[str]]:
    """Split the keys into those with the same value in all configs and the others, in order."""
    keys = list(dict.fromkeys(key for config in configs.values() for key in config))
    common = [
        key
        for key in keys
        if all(key in config for config in configs.values())
        and len({json.dumps(config[key], sort_keys=True, default=str) for config in configs.values()}) == 1
    ]
    return common, [key for key in keys if key not in set(common)]


def _differing(
    configs: Mapping[str, Mapping[str, object]], origins: Mapping[str, Mapping[str, str]], keys: list[str]
) -> list[Table]:
    if not keys:
        return []

    def cell(label: str, key: str) -> Cell:
        if key not in configs[label]:
            return Cell(text=UNKNOWN)
        return Cell(
            text=write_value(configs[label][key]), details=[origins[label][key]] if key in origins[label] else []
        )

    if many := len(configs) > MANY_ROWS:
        rows = [[label, *(cell(label, key) for key in keys)] for label in configs]
    else:
        rows = [[key, *(cell(label, key) for label in configs)] for key in keys]
    return [
        text_table(
            name="settings",
            caption="Settings that differ between methods; small: the layer that set the value.",
            header=["Method", *keys] if many else ["Setting", *configs],
            rows=rows,
        )
    ]


def _common(
    configs: Mapping[str, Mapping[str, object]], origins: Mapping[str, Mapping[str, str]], keys: list[str]
) -> list[Table]:
    if not keys:
        return []
    label, config = next(iter(configs.items()))
    rows = [[key, write_value(config[key]), origins[label].get(key, "–")] for key in keys]
    return [
        text_table(
            name="common-settings",
            caption="Settings common to all methods.",
            header=["Setting", "Value", "Set by"],
            rows=rows,
        )
    ]


def write_value(value: object) -> str:
    """Return a setting's value as one line of text, cut if it is very long."""
    text = (
        value
        if isinstance(value, str) and value.strip() == value and value.isprintable()
        else json.dumps(value, ensure_ascii=False, default=str)
    )
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … [{len(text) - LONGEST:,} more characters cut]"


SECTION = Section(name="settings", title="Hyper-parameters", order=70, render=render_settings)
