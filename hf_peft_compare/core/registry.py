"""The registry of methods, tasks and metrics: one file each, found by name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from hf_peft_compare.core.errors import unknown
from hf_peft_compare.core.method import Method
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.task import Task


@cache
def discover(package: str, kind: Any) -> dict[str, Any]:
    """Collect the entries of one kind from the files of a package, by name.

    Args:
        package: a room such as "hf_peft_compare.methods".
        kind: Method, Task or Metric.
    """
    room = importlib.import_module(package)
    found = {}
    for module in pkgutil.iter_modules(room.__path__):
        for value in vars(importlib.import_module(f"{package}.{module.name}")).values():
            if isinstance(value, kind):
                found[value.name] = value
    return found


def get_method(name: str) -> Method:
    """Give the method of a name; raises UserError that names the nearest known one."""
    return _get("hf_peft_compare.methods", Method, "method", name)


def get_task(name: str) -> Task:
    """Give the task of a name; raises UserError that names the nearest known one."""
    return _get("hf_peft_compare.tasks", Task, "task", name)


def get_metric(name: str) -> Metric:
    """Give the metric of a name; raises UserError that names the nearest known one."""
    return _get("hf_peft_compare.metrics", Metric, "metric", name)


def _get(package: str, kind: Any, what: str, name: str) -> Any:
    found = discover(package, kind)
    if not isinstance(name, str) or name not in found:
        raise unknown(what, str(name), found)
    return found[name]
