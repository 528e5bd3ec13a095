"""Methods given from Python, as rows of a study: names, settings, peft's configs, and methods of one's own."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from hf_peft_compare.config.layers import Tree, plain
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import AnyMethod, Method
from hf_peft_compare.core.registry import PICKLED
from hf_peft_compare.inputs.saving import saved

if TYPE_CHECKING:
    from peft import PeftConfig

MethodLike: TypeAlias = "str | Mapping[str, Any] | PeftConfig | AnyMethod | type[AnyMethod]"
Methods: TypeAlias = "Sequence[MethodLike] | Mapping[str, MethodLike | None]"

EXPECTED = "a method's name, {row: settings}, a config of peft, or a Method"
# What peft's configs keep beside their settings: the builder sets them, or they follow from the base.
NOT_SETTINGS = {"peft_type", "task_type", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode"}
NOT_SETTINGS |= {"peft_version"}


def rows_of(methods: Methods, folder: Path) -> tuple[dict[str, Tree], list[str]]:
    """Return the rows of a study, and the plugins that they need.

    Args:
        folder: of the study, where a method that child processes cannot import is saved.

    Raises:
        UserError: what is no method, two rows of one name, an object that cannot be saved; it is named.
    """
    rows: dict[str, Tree] = {}
    plugins: list[str] = []
    if isinstance(methods, str) or not isinstance(methods, (Sequence, Mapping)):
        raise UserError(f"methods is {methods!r}; expected a list, each of {EXPECTED}.")
    entries = [methods] if isinstance(methods, Mapping) else methods
    for entry in entries:
        named = entry.items() if isinstance(entry, Mapping) else [(None, entry)]
        for name, value in named:
            row, settings = _row(name, value, folder, plugins)
            if name is None and row in rows and not isinstance(value, str):
                row = next(f"{row}_{n}" for n in range(2, len(rows) + 3) if f"{row}_{n}" not in rows)
                settings = {"method": settings.pop("method", row.rpartition("_")[0]), **settings}
            if row in rows:
                raise UserError(f"two method rows are named {row!r}; name one of them otherwise: {{row: settings}}.")
            rows[row] = settings
    return rows, list(dict.fromkeys(plugins))


def _row(name: str | None, value: Any, folder: Path, plugins: list[str]) -> tuple[str, Tree]:
    """Return a row's name and settings; what a method of one's own needs is added to `plugins`."""
    if isinstance(value, str) and name is None:
        return value, {}
    if value is None and name is not None:
        return name, {}
    if isinstance(value, Mapping):
        return str(name), dict(value)
    if isinstance(value, Method) or (isinstance(value, type) and issubclass(value, Method)):
        method = _name_of(value)
        plugins.append(_plugin(value, method, folder))
        return (method, {}) if name in (None, method) else (str(name), {"method": method})
    if hasattr(value, "peft_type") and is_dataclass(value) and not isinstance(value, type):
        settings = _peft_settings(value)
        return name or str(settings["peft_type"]).lower(), settings
    raise UserError(f"methods has {value!r}; expected {EXPECTED}.")


def _peft_settings(config: Any) -> Tree:
    """Return the fields of peft's config that differ from their defaults, as YAML has them."""
    kind = getattr(config.peft_type, "value", config.peft_type)
    settings: Tree = {"method": "peft", "peft_type": str(kind)}
    for f in fields(config):
        value = getattr(config, f.name)
        default = f.default if f.default_factory is MISSING else f.default_factory()
        if f.init and f.name not in NOT_SETTINGS and value != default:
            settings[f.name] = plain(value, f"{type(config).__name__}.{f.name}")
    return settings


def _name_of(method: AnyMethod | type[AnyMethod]) -> str:
    kind = method if isinstance(method, type) else type(method)
    if not isinstance(getattr(method, "name", None), str):
        raise UserError(f"method {kind.__qualname__} lacks attribute name. See examples/add_a_method.py.")
    return method.name


def _plugin(method: AnyMethod | type[AnyMethod], name: str, folder: Path) -> str:
    """Return the module by which child processes find a method, or the file that it is saved in for them."""
    kind = method if isinstance(method, type) else type(method)
    has_state = not isinstance(method, type) and bool(vars(method))
    if not has_state and _is_importable(kind):
        return kind.__module__
    content = _pickled(method() if isinstance(method, type) else method, kind, name)  # equal for both
    known = re.sub(rb"[0-9a-f]{32}", b"", content)  # random ids of classes, new in each process
    path = saved(folder, name, hashlib.sha256(known).hexdigest(), lambda to: to.write_bytes(content), suffix=PICKLED)
    return str(path)


def _is_importable(kind: type) -> bool:
    """Whether a child process, which has this one's module path, finds the same class by its module and name."""
    module, parent = kind.__module__, kind.__module__.rpartition(".")[0]
    if module == "__main__" or getattr(sys.modules.get(module), kind.__qualname__, None) is not kind:
        return False
    path = getattr(sys.modules.get(parent), "__path__", None)
    return any(finder.find_spec(module, path) is not None for finder in sys.meta_path)


def _pickled(method: object, kind: type, name: str) -> bytes:
    """Pickle a method, and by value what is defined where child processes cannot import it.

    Raises:
        UserError: it cannot be pickled.
    """
    import cloudpickle

    module = sys.modules.get(kind.__module__)
    by_value = module is not None and kind.__module__ != "__main__" and not _is_importable(kind)
    try:
        if by_value:
            cloudpickle.register_pickle_by_value(module)
        return cast("bytes", cloudpickle.dumps(method))
    except Exception as error:  # whatever its parts raise
        raise UserError(
            f"method {name!r} cannot be sent to the processes that train it: {type(error).__name__}: {error}. Define "
            f"its class in a module that Python finds, or leave out of it what cannot be pickled."
        ) from None
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
