"""The registries of methods, tasks, metrics, trackers and report sections, which look up an entry by its name.

Entries of this package are found in its folders. Others are added by entry points of installed packages, by modules
given with `--plugin`, and by `register_method`, `register_task`, `register_metric`, `register_tracker` and
`register_section`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.method import AnyMethod, Method
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.settings import STRICT, parse
from hf_peft_compare.core.task import AnyTask, MetricChoice, Task
from hf_peft_compare.core.tracker import Tracker

E = TypeVar("E")

# The modules given with `--plugin`, which child processes import too; separated like the paths of PYTHONPATH.
PLUGINS_VARIABLE = "HF_PEFT_COMPARE_PLUGINS"
PICKLED = ".pkl"  # the suffix of a plugin that is a file with one object, such as a method of a notebook

REGISTRIES: list[Registry[Any]] = []


class Registry(Generic[E]):
    """All entries of one kind by name, each an instance of its class.

    Args:
        kind: the base class of the entries.
        what: the noun for an entry in error messages.
        package: the package whose modules are searched for entries.
        group: the entry point group through which installed packages add entries.
    """

    def __init__(self, kind: type, *, what: str, package: str, group: str) -> None:
        self.kind, self.what, self.package, self.group = kind, what, package, group
        self.registered: dict[str, E] = {}
        REGISTRIES.append(self)

    def get(self, name: object) -> E:
        """Return the entry with this name; raise UserError with the nearest known name if there is none."""
        entries = self.entries
        if not isinstance(name, str) or name not in entries:
            hint = f"If a plugin defines this {self.what}, load it with --plugin MODULE."
            raise UserError(f"{unknown(self.what, str(name), entries)} {hint}")
        return entries[name]

    def register(self, entry: E | type[E]) -> None:
        """Add a class or an instance; it replaces an entry of the same name.

        The entry is registered in this process only. For child processes to find it, define it in a module and load
        that with `load_plugin`.

        Raises:
            UserError: the entry is not of this kind, or lacks a required attribute or method.
        """
        self._add(entry, self.registered, origin="registered")

    def register_module(self, module: str) -> None:
        """Add the entries that a module defines; raise UserError as `register` does, or if the import fails."""
        for entry in self._defined_in(_import_plugin(module)):
            self._add(entry, self.registered, origin=f"plugin {module}")

    @property
    def entries(self) -> dict[str, E]:
        """All entries by name: from this package, installed packages, plugins, and those registered in this process."""
        return {**self._found, **self.registered}

    @cached_property
    def _found(self) -> dict[str, E]:
        found: dict[str, E] = {}
        for info in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
            module = importlib.import_module(f"{self.package}.{info.name}")
            for entry in self._defined_in(module):
                self._add(entry, found, origin=module.__name__)
        for point in _entry_points().select(group=self.group):
            self._add(_load(point), found, origin=f"plugin {point.name} = {point.value}")
        for name in plugins():
            for entry in self._defined_in(_import_plugin(name)):
                self._add(entry, found, origin=f"plugin {name}")
        return found

    def _defined_in(self, module: ModuleType) -> Iterator[object]:
        """Return the classes of this kind that a module or its submodules define, and the instances in the module.

        Raises:
            UserError: a class has no `name` of its own, and no subclass.
        """
        for value in list(vars(module).values()):
            if isinstance(value, self.kind):
                yield value
            elif isinstance(value, type) and issubclass(value, self.kind) and _is_of(value, module):
                if "name" in vars(value):
                    yield value
                elif not value.__subclasses__():
                    where = f"{self.what} {value.__qualname__} (plugin {module.__name__})"
                    raise UserError(f"{where} lacks attribute name, the key used in studies. Add it to the class.")

    def _add(self, entry: object, found: dict[str, E], *, origin: str) -> None:
        """Add an entry; raise UserError if a required attribute or method is missing."""
        cls = entry if isinstance(entry, type) else type(entry)
        qualified = entry.__name__ if isinstance(entry, ModuleType) else cls.__qualname__
        where, kind = f"{self.what} {qualified} ({origin})", self.kind.__name__
        if not issubclass(cls, self.kind):
            raise UserError(f"{where} is not a {kind}. Expected: a class derived from hf_peft_compare.{kind}.")
        wanted = [name for base in self.kind.__mro__ for name in vars(base).get("__annotations__", {})]
        lacking = [f"attribute {name}" for name in wanted if not hasattr(entry, name)]
        lacking += [f"method {name}" for name in sorted(getattr(cls, "__abstractmethods__", ()))]
        if lacking:
            raise UserError(f"{where} lacks {', '.join(lacking)}. Define it as hf_peft_compare.{kind} documents it.")
        _refuse_unknown_keys(entry, cls, where)
        made = cast("E", _instance(entry, where) if isinstance(entry, type) else entry)
        found[_name_of(made)] = made


def _is_of(cls: type, module: ModuleType) -> bool:
    return cls.__module__ == module.__name__ or cls.__module__.startswith(f"{module.__name__}.")


def _instance(cls: type, where: str) -> object:
    try:
        return cls()
    except Exception as error:  # third-party code may raise anything
        raise UserError(
            f"{where} cannot be created without arguments: {type(error).__name__}: {error}. Register an instance of it."
        ) from None


def _refuse_unknown_keys(entry: object, cls: type, where: str) -> None:
    """Configure a plain dataclass of settings to reject unknown keys, as this package's settings classes do."""
    settings = getattr(entry, "settings", None)
    if issubclass(cls, Metric):
        settings = cls if is_dataclass(cls) else None  # a metric is its own dataclass of settings
    if settings is None:
        return
    if not (isinstance(settings, type) and is_dataclass(settings)):
        raise UserError(f"{where} has settings {settings!r}; expected a frozen dataclass.")
    if not hasattr(settings, "__pydantic_config__"):
        settings.__pydantic_config__ = STRICT  # type: ignore[attr-defined]


def _name_of(entry: object) -> str:
    return str(getattr(entry, "name"))  # noqa: B009  # `_add` has checked that it exists


@cache
def _entry_points() -> Any:
    return entry_points()  # cached: each call reads the metadata of every installed package


def _load(point: EntryPoint) -> object:
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        raise UserError(
            f"plugin {point.name} = {point.value} (entry point of {point.dist and point.dist.name}) cannot be "
            f"imported: {type(error).__name__}: {error}. Fix or uninstall its package."
        ) from None


@cache
def read_pickled(path: str) -> Any:
    """Read the object that a file holds, the same one each time."""
    try:
        return pickle.loads(Path(path).read_bytes())
    except Exception as error:  # whatever its modules raise
        raise UserError(
            f"plugin {path} cannot be read: {type(error).__name__}: {error}. Call compare() with the object again."
        ) from None


def _import_plugin(module: str) -> ModuleType:
    if module.endswith(PICKLED):
        held, holder = read_pickled(module), ModuleType(module)
        vars(holder)["held"] = held() if isinstance(held, type) else held
        return holder
    folder = os.getcwd()
    if folder not in sys.path:
        # As for `python -m`, but last on the path: an evaluate.py in the folder must not shadow the library evaluate.
        sys.path.append(folder)
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name):
            remedy = f"Expected a module in {folder} or on PYTHONPATH, such as my_methods for my_methods.py."
        else:
            remedy = "Fix the module."
        raise UserError(f"plugin {module} cannot be imported: {type(error).__name__}: {error}. {remedy}") from None


METHODS = Registry[AnyMethod](Method, what="method", package="hf_peft_compare.methods", group="hf_peft_compare.methods")
TASKS = Registry[AnyTask](Task, what="task", package="hf_peft_compare.tasks", group="hf_peft_compare.tasks")
METRICS = Registry[Metric](Metric, what="metric", package="hf_peft_compare.metrics", group="hf_peft_compare.metrics")
TRACKERS = Registry[Tracker](
    Tracker, what="tracker", package="hf_peft_compare.trackers", group="hf_peft_compare.trackers"
)

get_method, get_task, get_metric = METHODS.get, TASKS.get, METRICS.get
register_method, register_task, register_metric = METHODS.register, TASKS.register, METRICS.register
register_tracker = TRACKERS.register


def choose_metrics(choices: Sequence[MetricChoice]) -> list[Metric]:
    """Return the metrics that a study names, each with its settings.

    Raises:
        UserError: one is unknown, or has no such setting; two have a score of the same name.
    """
    metrics: list[Metric] = []
    for choice in choices:
        for name, settings in choice.items() if isinstance(choice, Mapping) else [(choice, {})]:
            metric, where = get_metric(name), f"metric {name}"
            if settings and not is_dataclass(metric):
                raise UserError(f"{where} has no settings, but the study sets {', '.join(settings)}; name it alone.")
            metrics.append(parse(type(metric), settings, where=where) if settings else metric)
    owners: dict[str, str] = {}
    for metric in metrics:
        for score in metric.scores:
            if score.name in owners:
                both = f"{owners[score.name]} and {metric.name}"
                raise UserError(f"metrics {both} both have the score {score.name}; name one of them, once.")
            owners[score.name] = metric.name
    return metrics


def plugins() -> list[str]:
    """Return the names of the modules that `load_plugin` has loaded, in this process or in a parent process."""
    return [name for name in os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep) if name]


def is_loaded(module: str) -> bool:
    """Whether a plugin was loaded, here or in a parent process."""
    return _resolved(module) in plugins()


def _resolved(module: str) -> str:
    return str(Path(module).resolve()) if module.endswith(PICKLED) else module  # wherever a process goes to


def load_plugin(module: str) -> None:
    """Register what a module adds to any registry, in this process and in its child processes.

    Raises:
        UserError: the module cannot be imported, or one of its classes lacks a required attribute or method.
    """
    module = _resolved(module)
    for registry in REGISTRIES:
        registry.register_module(module)
    others = [name for name in plugins() if name != module]
    os.environ[PLUGINS_VARIABLE] = os.pathsep.join([*others, module])  # the last one of a name holds


def load_plugins(modules: Sequence[str]) -> None:
    """Load several plugins with `load_plugin`."""
    for module in modules:
        load_plugin(module)


def is_foreign(entry: object) -> bool:
    """Whether an entry's code is not of this package."""
    return not type(entry).__module__.startswith("hf_peft_compare.")


def source_of(entry: object) -> str:
    """Return the source code of the module that defines an entry's class; in a script or notebook, of the class."""
    cls = type(entry)
    for path in plugins():
        if path.endswith(PICKLED) and read_pickled(path) in (entry, cls):
            return Path(path).name  # which has the hash of its content
    return inspect.getsource(cls if cls.__module__ == "__main__" else inspect.getmodule(cls) or cls)
