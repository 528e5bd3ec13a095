"""Configs for `accelerate launch --config_file`: how the processes of a run share its model."""

from __future__ import annotations

from pathlib import Path

from hf_peft_compare.core.errors import UserError

FOLDER = Path(__file__).parent


def find_accelerate_config(name: str) -> Path:
    """Find a config by its name here, or by its path; raises UserError that lists the names there are."""
    for path in (FOLDER / f"{name}.yaml", Path(name)):
        if path.is_file():
            return path.resolve()
    names = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
    raise UserError(f"no accelerate config {name!r}: give {names}, or a file that `accelerate config` wrote.")
