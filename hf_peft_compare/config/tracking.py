"""Tracking settings as a typed dataclass: each setting with its default and its meaning."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.core.settings import STRICT

NONE = "none"  # as transformers writes it


def _names(value: object) -> object:
    """Return one name, "none" or null as a list."""
    if value is None or value == NONE:
        return []
    return [value] if isinstance(value, str) else value


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("expected each tracker once")
    return names


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class TrackingConfig:
    """What runs are logged to beside their records; no score depends on it.

    Args:
        report_to: "wandb", "trackio", "mlflow", "tensorboard", a tracker of a plugin, or the name of any other that
            transformers knows, such as "comet_ml", which gets the curves and final figures of rows that train; [] or
            "none": nothing.
        energy: measure the electric energy of each run's training by codecarbon; where the machine has no meter, it is
            estimated, which is little more than the time once more.
    """

    report_to: Annotated[list[str], AfterValidator(_different), BeforeValidator(_names)] = field(
        default_factory=lambda: ["wandb"]
    )
    energy: bool = False
