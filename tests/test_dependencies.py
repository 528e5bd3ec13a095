"""`pyproject.toml` declares what the package imports, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = "hf_peft_compare"
# What is installed under another name than it is imported by.
IMPORTED_AS = {
    "ipython": "IPython",
    "mlflow-skinny": "mlflow",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "vl-convert-python": "vl_convert",
}
NOT_IMPORTED = {
    "bitsandbytes": "transformers loads it for quantized weights; the package asks only whether it is there",
    "gguf": "transformers reads files with it; the package asks only whether it is there",
    "tensorboard": "torch's SummaryWriter writes with it; the package asks only whether it is there",
}


def imported(source: str) -> set[str]:
    """The top-level names that a module imports, at its head or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def declared() -> set[str]:
    """The requirements of the package and of its extras, but those of its tests and of its site."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: needed for name, needed in project["optional-dependencies"].items() if name not in ("docs", "test")}
    requirements = [*project["dependencies"], *(line for needed in extras.values() for line in needed)]
    return {re.split(r"[^\w.-]", line)[0].lower() for line in requirements}


def third_party() -> set[str]:
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / PACKAGE).rglob("*.py")]
    return set().union(*map(imported, modules)) - set(sys.stdlib_module_names) - {PACKAGE}


def test_imports_are_found_inside_functions_too() -> None:
    source = "import a.b\nfrom . import c\ndef f():\n    from d.e import g\n    import h as i"
    assert imported(source) == {"a", "d", "h"}


def test_what_is_declared_is_what_is_imported() -> None:
    names = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in declared() - set(NOT_IMPORTED)}
    assert names == third_party()


def test_every_exception_is_one() -> None:
    assert set(NOT_IMPORTED) <= declared() and not set(NOT_IMPORTED) & third_party()
    assert set(IMPORTED_AS) <= declared()
