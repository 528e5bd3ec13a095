"""Records of older versions, lifted version by version to the one that is written now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCHEMA_VERSION = 3

Raw = dict[str, Any]


def upgrade(raw: Raw) -> Raw:
    """Return a record of any known version as one of the newest; `raw` itself does not change.

    Raises:
        KeyError: a version that there is no step from.
    """
    while raw["schema_version"] != SCHEMA_VERSION:
        version = raw["schema_version"]
        raw = {**STEPS[version](raw), "schema_version": version + 1}
    return raw


def _with_plan(raw: Raw) -> Raw:
    """Version 2 adds the plan and the cache of a frozen trunk, and later tuning and costs."""
    return {**raw, "plan": None, "trunk_cache": None}


def _typed(raw: Raw) -> Raw:
    """Version 3 has typed parts; costs that were not measured are null, where they were an empty object."""
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
    """The widened range also keeps its scale, which is that of the learning rate's own range."""
    kept = {key: value for key, value in tuning.items() if key not in ("best", "widened")}
    log = tuning["space"].get("training.learning_rate", {}).get("log", True)
    widened = tuning["widened"] and {**tuning["widened"], "log": log}
    return {**kept, "best_settings": tuning["best"], "widened": widened}


STEPS: dict[int, Callable[[Raw], Raw]] = {1: _with_plan, 2: _typed}  # from which version
