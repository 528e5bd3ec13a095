"""Published results beside which a study's own are shown."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.core.settings import STRICT


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class References:
    """Published results of the experiment that a study reproduces.

    Args:
        source: a neutral label such as "course report, 2024".
        model: the model of the results, if it is another one than the study's: values are shown, but not compared.
        rows: {row of the study: {score name, "trainable_params", "train_seconds" or "peak_allocated_bytes": value}}.
        grids: {row with a grid: [[value]]} of the ranking score, one level of lists per key of the grid in the study
            file; `load_study` adds the values to `rows`.
        differences: differences between this study's protocol and the published one, one sentence each.
        minimum: whether the values are no results, but the least that the source asks for.
    """

    source: str
    model: str | None = None
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    grids: dict[str, list[Any]] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    minimum: bool = False
