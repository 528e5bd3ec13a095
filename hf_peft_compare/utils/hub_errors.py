"""Explain errors of the hub or of a local folder, and how to fix them."""

from __future__ import annotations

from pathlib import Path

from hf_peft_compare.utils.model_files import find_damage
from hf_peft_compare.utils.remote_code import HOW_TO_ALLOW, needs_remote_code

HUB = "https://huggingface.co"
KEYS = {"model": "model_name_or_path", "dataset": "dataset"}


def explain(what: str, name: str, error: Exception) -> str:
    """Return one line that explains why a model or dataset cannot be loaded and how to fix it.

    Args:
        what: "model" or "dataset".
        name: the hub id or path.
        error: the library's exception.
    """
    from huggingface_hub import errors as hub_errors

    if needs_remote_code(error):
        return f"{what} {name} has a class of its own, so its own code would have to run. {HOW_TO_ALLOW}"
    chain = _chain(error)
    use_local = f"or use a local folder: --set {KEYS[what]}=PATH"
    prefix = "" if what == "model" else "datasets/"
    if any(isinstance(e, hub_errors.GatedRepoError) for e in chain) or "gated repo" in str(error):
        return (
            f"{what} {name} is gated. Accept its license at {HUB}/{prefix}{name}, then log in with "
            f"`hf auth login`, {use_local}."
        )
    if any(isinstance(e, hub_errors.RepositoryNotFoundError) for e in chain):
        return f"{what} {name} is not on the hub (or private: `hf auth login`); check the spelling, {use_local}."
    if Path(name).exists():
        damage = find_damage(Path(name)) if what == "model" else None
        kind = "folder" if Path(name).is_dir() else "file"
        return f"{what} {kind} {name} cannot be read: {damage or _one_line(_cause(error))}"
    if name.startswith((".", "/", "~")):
        return f"{what} folder {name} does not exist; use an existing folder or a hub id."
    return (
        f"{what} {name}: there is no such local folder, and the hub cannot be reached or does not have it "
        f"({_one_line(error)}). Check the network, {use_local}."
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _cause(error: BaseException) -> BaseException:
    """Return the first cause of an error of `datasets`, which says only that there was one; else the error itself."""
    from datasets.exceptions import DatasetGenerationError

    while isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{'…' if len(text) > 200 else ''}"
