"""Upgrade records of older versions, step by step, to the current version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCHEMA_VERSION = 3

Raw = dict[str, Any]


def upgrade(raw: Raw) -> Raw:
    """Return a record of any known version in the current version; `raw` is not changed.

    Raises:
        KeyError: there is no upgrade step from its version.
    """
    while raw["schema_version"] != SCHEMA_VERSION:
        version = raw["schema_version"]
        raw = {**STEPS[version](raw), "schema_version": version + 1}
    return raw


def _with_plan(raw: Raw) -> Raw:
    """Return a record of version 2, which adds the plan and the trunk cache, and later tuning and costs."""
    return {**raw, "plan": None, "trunk_cache": None}


def _typed(raw: Raw) -> Raw:
    """Return a record of version 3, with typed parts; costs that were not measured are null, not an empty object."""
    cache, tuning = raw.get("trunk_cache"), raw.get("tuning")
    return {
        **raw,
        "trunk_cache": cache and _trunk_cache(cache),
        "tuning": tuning and _tuning(tuning),
        "costs": raw.get("costs") or None,
    }


def _trunk_cache(cache: Raw) -> Raw:
    return {
        "num_bytes": cache["bytes"],
        "seconds": cache["seconds"],
        "filled_by": [run for run in cache["filled_by"].split(", ") if run],
    }


def _tuning(tuning: Raw) -> Raw:
    """Return the tuning of version 3; the widened range has the scale of the learning rate's own range."""
    kept = {key: value for key, value in tuning.items() if key not in ("best", "widened")}
    log = tuning["space"].get("training.learning_rate", {}).get("log", True)
    widened = tuning["widened"] and {**tuning["widened"], "log": log}
    return {**kept, "best_settings": tuning["best"], "widened": widened}


STEPS: dict[int, Callable[[Raw], Raw]] = {1: _with_plan, 2: _typed}  # by the version upgraded from
