"""Configs for `accelerate launch --config_file`: how the processes of a run share its model."""

from __future__ import annotations

from pathlib import Path

from hf_peft_compare.core.errors import UserError

FOLDER = Path(__file__).parent


def find_accelerate_config(name: str) -> Path:
    """Return the path of a built-in config or of a config file; raise UserError with the known names otherwise."""
    for path in (FOLDER / f"{name}.yaml", Path(name)):
        if path.is_file():
            return path.resolve()
    names = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
    raise UserError(f"unknown accelerate config {name!r}: use {names}, or a file written by `accelerate config`.")
