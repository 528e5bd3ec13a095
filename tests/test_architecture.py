"""The house: which room may know which, how large a file may grow, and that every module has its test."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from untested_modules import UNTESTED

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hf_peft_compare"
LAB = ("config", "data", "models", "training", "evaluation", "orchestration", "inference", "planning", "diagnostics")
# They need no torch.
READERS = ("records", "comparison", "report", "core", "config", "methods", "tasks", "metrics", "trackers")
HEAVY = ("torch", "transformers", "peft", "datasets")
MAX_LOOSE_MODULES, MAX_LINES_OF_FILE, MAX_LINES_OF_FUNCTION, MAX_SHARE_OF_ANY = 6, 300, 60, 0.07

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path: Path) -> str:
    """Return a module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(*nodes: ast.AST) -> Iterator[str]:
    """Name the package's modules that the import statements in some nodes load."""
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def loaded_with(path: Path) -> set[str]:
    """Name the package's modules that are loaded along with one: not in functions, not for the type checker."""
    return set(imported(*(node for node in parsed(path).body if isinstance(node, ast.Import | ast.ImportFrom))))


def room(module: str) -> str:
    """Return the folder of the package that a module is in; a loose module is a room of its own."""
    return ".".join(module.split(".")[:2])


def on_circles(graph: dict[str, set[str]]) -> list[str]:
    """Return what is left of a graph when nodes without arrows to what is left are taken away, again and again."""
    left = {node: targets - {node} for node, targets in graph.items()}
    while free := {node for node, targets in left.items() if not targets & left.keys()}:
        left = {node: targets for node, targets in left.items() if node not in free}
    return sorted(left)


def test_half_of_the_package_is_imported_without_torch() -> None:
    import_without_torch([name for name in MODULES if (name.split(".") + [""])[1] in READERS])


def test_the_process_that_follows_a_study_needs_no_torch() -> None:
    """Its children do: it starts seconds sooner, and keeps half a gigabyte less."""
    import_without_torch(
        [f"hf_peft_compare.{name}" for name in ("api", "orchestration.place", "orchestration.study_run")]
    )


def import_without_torch(names: list[str]) -> None:
    code = (
        f"import importlib, sys\nsys.modules.update(dict.fromkeys({HEAVY}))  # importing one now raises\n"
        f"for name in {names}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert on_circles({name: loaded_with(path) for name, path in MODULES.items()}) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        rooms.setdefault(room(name), set()).update(map(room, loaded_with(path)))
    assert on_circles(rooms) == []


def test_a_circle_is_found_and_a_chain_is_none() -> None:
    assert on_circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert on_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}, "e": set()}) == ["a", "b", "c", "d"]


def test_the_lab_does_not_know_how_its_records_are_compared() -> None:
    """Not even in a function: what trains must not depend on what is concluded from it."""
    for name, path in MODULES.items():
        if room(name) in {f"hf_peft_compare.{place}" for place in LAB}:
            known = set(map(room, imported(parsed(path))))
            assert not known & {"hf_peft_compare.comparison", "hf_peft_compare.report"}, name


def test_few_modules_lie_loose_in_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_LOOSE_MODULES


@pytest.mark.parametrize("folder", ["hf_peft_compare", "benchmarks", "tools", "tests"])
def test_files_and_functions_are_short(folder: str) -> None:
    long: dict[str, int] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        name, size = str(path.relative_to(ROOT)), len(path.read_text(encoding="utf-8").splitlines())
        if size > MAX_LINES_OF_FILE:
            long[name] = size
        for node in ast.walk(parsed(path)):
            if isinstance(node, Function) and (node.end_lineno or 0) - node.lineno >= MAX_LINES_OF_FUNCTION:
                long[f"{name}, {node.name}"] = (node.end_lineno or 0) - node.lineno + 1
    assert long == {}


def test_every_module_has_a_test_file_of_its_own_or_a_reason() -> None:
    """The tests of `a/b.py`, or of `a/b/__init__.py` where it holds more than a docstring, are `tests/a/test_b.py`."""
    untested = set()
    for name, path in MODULES.items():
        *rooms, last = name.split(".")[1:] or ["__init__"]
        if len(parsed(path).body) > 1 and not (ROOT / "tests" / Path(*rooms) / f"test_{last}.py").is_file():
            untested.add(".".join([*rooms, last]))
    assert untested == set(UNTESTED)


def annotations(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the annotations of parameters, returns and attributes."""
    for node in ast.walk(tree):
        found = node.annotation if isinstance(node, ast.arg | ast.AnnAssign) else getattr(node, "returns", None)
        if found is not None:
            yield found


def has_any(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    return any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(annotation))


def test_few_annotations_are_any() -> None:
    found = [has_any(annotation) for path in MODULES.values() for annotation in annotations(parsed(path))]
    assert sum(found) / len(found) < MAX_SHARE_OF_ANY, f"{sum(found)} of {len(found)}"
