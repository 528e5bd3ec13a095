"""The registry of methods, tasks and metrics.

The package's own are found in its folders, one class a file; others come from entry points of installed packages, from
modules named by `--plugin`, and from `register_method` and its siblings.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.method import AnyMethod, Method
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.task import AnyTask, Task

E = TypeVar("E")

# The modules of `--plugin`, for child processes to import too; separated as the paths of PYTHONPATH are.
PLUGINS_VARIABLE = "HF_PEFT_COMPARE_PLUGINS"


class Registry(Generic[E]):
    """All classes of one kind by name, each as an instance.

    Args:
        kind: the class that they are subclasses of.
        what: what an error calls one.
        package: the package whose modules are searched; entry points have its name as their group.
    """

    def __init__(self, kind: type, *, what: str, package: str) -> None:
        self.kind, self.what, self.package = kind, what, package

    def get(self, name: object) -> E:
        """Return the one of a name; raises UserError that names the nearest known one."""
        if not isinstance(name, str) or name not in self.entries:
            raise unknown(self.what, str(name), self.entries)
        return self.entries[name]

    def register(self, entry: E | type[E]) -> None:
        """Add a class or an instance of one, in the place of any of its name.

        Raises:
            UserError: it is not of this kind, or lacks an attribute or a method that it must have.
        """
        made = self._make(entry, origin="registered")
        self.entries[_name_of(made)] = made

    def register_module(self, module: str) -> None:
        """Add the classes that a module defines; raises UserError as `register`, or where it cannot be imported."""
        for cls in self._defined_in(module):
            self.register(cls)

    @cached_property
    def entries(self) -> dict[str, E]:
        """All by name: the package's own, then those of installed packages and plugins."""
        found: dict[str, E] = {}
        for cls in self.discover(self.package):
            made = self._make(cls, origin=cls.__module__)
            found[_name_of(made)] = made
        for point in entry_points(group=self.package):
            try:
                loaded = point.load()
            except Exception as error:  # whatever a foreign module raises
                raise UserError(
                    f"plugin {point.name} ({point.value}) cannot be imported: {type(error).__name__}: {error}. "
                    f"Mend or uninstall its package."
                ) from None
            made = self._make(loaded, origin=f"plugin {point.name} ({point.value})")
            found[_name_of(made)] = made
        for module in filter(None, os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)):
            for cls in self._defined_in(module):
                made = self._make(cls, origin=f"plugin {module}")
                found[_name_of(made)] = made
        return found

    def discover(self, package: str) -> Iterator[type]:
        """Return the classes that the modules of a package define."""
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            yield from self._defined_in(f"{package}.{module.name}")

    def _defined_in(self, module: str) -> Iterator[type]:
        for value in vars(_import(module)).values():
            if isinstance(value, type) and issubclass(value, self.kind) and value.__module__ == module:
                if "name" in vars(value):
                    yield value

    def _make(self, entry: object, *, origin: str) -> E:
        """Return an instance that has all that its kind asks for."""
        cls = entry if isinstance(entry, type) else type(entry)
        where = f"{self.what} {cls.__qualname__} ({origin})"
        if not issubclass(cls, self.kind):
            raise UserError(f"{where} is no {self.kind.__name__}; derive it from hf_peft_compare.{self.kind.__name__}.")
        wanted = [name for base in self.kind.__mro__ for name in vars(base).get("__annotations__", {})]
        lacking = [f"attribute {name}" for name in wanted if not hasattr(cls, name)]
        lacking += [f"method {name}" for name in sorted(getattr(cls, "__abstractmethods__", ()))]
        if lacking:
            raise UserError(f"{where} lacks {', '.join(lacking)}. See examples/add_a_method.py.")
        return cast("E", cls() if isinstance(entry, type) else entry)


K = TypeVar("K")


def discover(package: str, kind: type[K]) -> dict[str, K]:
    """Return the instances of a class that the modules of a package define, by their names."""
    found = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        for value in vars(importlib.import_module(f"{package}.{module.name}")).values():
            if isinstance(value, kind):
                found[_name_of(value)] = value
    return found


def _name_of(entry: object) -> str:
    return str(getattr(entry, "name"))  # noqa: B009  # every kind has it, which `_make` has checked


def _import(module: str) -> object:
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever a foreign module raises
        raise UserError(
            f"plugin {module} cannot be imported: {type(error).__name__}: {error}. Give the name of a module that "
            f"Python finds, e.g. my_methods with PYTHONPATH=."
        ) from None


METHODS = Registry[AnyMethod](Method, what="method", package="hf_peft_compare.methods")
TASKS = Registry[AnyTask](Task, what="task", package="hf_peft_compare.tasks")
METRICS = Registry[Metric](Metric, what="metric", package="hf_peft_compare.metrics")

get_method, get_task, get_metric = METHODS.get, TASKS.get, METRICS.get
register_method, register_task, register_metric = METHODS.register, TASKS.register, METRICS.register


def load_plugin(module: str) -> None:
    """Register the methods, tasks and metrics of a module, here and in the processes that this one starts.

    Raises:
        UserError: it cannot be imported, or one of its classes lacks what it must have.
    """
    for registry in (METHODS, TASKS, METRICS):
        registry.register_module(module)
    named = [name for name in os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep) if name]
    os.environ[PLUGINS_VARIABLE] = os.pathsep.join(dict.fromkeys([*named, module]))


def source_of(entry: object) -> str:
    """Return the source of the module that defines an entry's class; of a script or notebook, the class's own."""
    cls = type(entry)
    return inspect.getsource(cls if cls.__module__ == "__main__" else inspect.getmodule(cls) or cls)
