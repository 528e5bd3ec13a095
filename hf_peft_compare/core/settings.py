"""Types of settings, and the conversion of mappings into typed dataclasses."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from hf_peft_compare.core.errors import UserError, shorten

STRICT = ConfigDict(extra="forbid")
T = TypeVar("T")
MAX_SHOWN = 200  # characters of a value in an error
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 4_096  # of a path's parts, and of a whole path


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number; `yes` and `no` are no numbers in YAML")
    return value


def _path(value: str) -> str:
    if any(len(part.encode()) > MAX_NAME_BYTES for part in value.split("/")) or len(value.encode()) > MAX_PATH_BYTES:
        raise ValueError("too long for a path; expected a Hub id, a folder or a file")
    return value


Int = Annotated[int, BeforeValidator(_number)]
PositiveInt = Annotated[Int, Field(gt=0, lt=2**31)]
NonNegativeInt = Annotated[Int, Field(ge=0, lt=2**31)]
Seed = Annotated[Int, Field(ge=0, lt=2**32)]  # what NumPy, and with it transformers, accepts
PositiveFloat = Annotated[float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False)]
LocalOrHub = Annotated[str, AfterValidator(_path)]

SET = "; set it in the study file or with --set {key}=…"


def parse(kind: type[T], values: object, *, where: str, if_missing: str = SET) -> T:
    """Return a mapping as a typed dataclass.

    Args:
        where: the beginning of an error message.
        if_missing: what an error says after the name of a missing key.

    Raises:
        UserError: a key is unknown (the nearest valid key is named) or missing, or a value is invalid; all are listed.
    """
    try:
        valid: T = _adapter(kind).validate_python(dict(values) if isinstance(values, Mapping) else values)
        return valid
    except ValidationError as error:
        problems = "; ".join(_describe(problem, kind, if_missing) for problem in error.errors())
        raise UserError(f"{where}: {problems}") from None


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)  # made once per type: parsing is a tenth of the time


def _describe(problem: Any, kind: type, if_missing: str) -> str:
    *parents, last = [str(part) for part in problem["loc"]] or [""]
    key = ".".join([*parents, last])
    if problem["type"] == "unexpected_keyword_argument":
        valid = _valid_keys(kind, parents)
        nearest = difflib.get_close_matches(last, valid, n=1, cutoff=0.5)
        hint = f" Did you mean {'.'.join([*parents, nearest[0]])!r}?" if nearest else ""
        return f"unknown key {key!r}.{hint} Valid: {', '.join(valid)}"
    if problem["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"key {key!r} is missing{if_missing.format(key=key)}"
    reason = problem["msg"].removeprefix("Value error, ")
    reason = f"{reason[:1].lower()}{reason[1:]}"
    return f"{key} is {shorten(repr(problem['input']), MAX_SHOWN)}: {reason}" if key else reason


def _valid_keys(kind: Any, parents: Sequence[str]) -> list[str]:
    """Return the keys of a dataclass, or of the dataclass nested in it at the path `parents`."""
    for parent in parents:
        hint = get_type_hints(kind).get(parent)
        kind = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), kind)
    return sorted(f.name for f in fields(kind))


def defaults_of(kind: Any) -> dict[str, Any]:
    """Return the defaults of a dataclass as nested dictionaries; required fields are left out."""
    tree: dict[str, Any] = {}
    for f in fields(kind):
        if f.default is not MISSING:
            tree[f.name] = f.default
        elif f.default_factory is not MISSING:
            value: Any = f.default_factory()
            tree[f.name] = asdict(value) if is_dataclass(value) else value  # type: ignore[arg-type]
    return tree


def parse_settings(kind: type[T], values: Mapping[str, object], where: str) -> T:
    """Return the settings of a method or a task in a study, without its `name`, as the dataclass it declares."""
    return parse(kind, {key: value for key, value in values.items() if key != "name"}, where=where)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of a dataclass of settings, as it is described to a reader.

    Args:
        kind: its type, as the class has it.
        required: whether it has no default.
        default: None if it is required.
        meaning: empty if the docstring has none.
    """

    name: str
    kind: str
    required: bool
    default: object
    meaning: str


def described(kind: Any) -> list[Setting]:
    """Return the fields of a dataclass with their defaults and meanings, in their order."""
    meanings, defaults = meanings_of(kind), defaults_of(kind)
    return [
        Setting(
            name=f.name,
            kind=f.type if isinstance(f.type, str) else getattr(f.type, "__name__", str(f.type)),
            required=f.name not in defaults,
            default=defaults.get(f.name),
            meaning=meanings.get(f.name, ""),
        )
        for f in fields(kind)
    ]


def meanings_of(kind: type) -> dict[str, str]:
    """Return each setting's description, from the `Args:` in the docstrings of a dataclass and its base classes."""
    meanings: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        _, _, arguments = inspect.cleandoc(vars(cls).get("__doc__") or "").partition("\nArgs:\n")
        for names, text in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {5,}.*)*)", arguments, re.MULTILINE):
            meanings |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return meanings
