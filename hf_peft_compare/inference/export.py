"""Export a finished run as a folder that peft or transformers loads, with a model card, and push it to the Hub."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inference.loading import FinishedRun, load_run, read_finished
from hf_peft_compare.inference.model_card import REPOSITORY, model_card
from hf_peft_compare.records.run_folder import MODEL_FOLDER, DamagedRun
from hf_peft_compare.utils.files import atomic_path, check_writable

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Unmergeable(UserError):
    """A model that cannot become a plain transformers model."""


def export_run(run_folder: str | Path, target: str | Path, *, merge: bool, push_to_hub: str | None = None) -> Path:
    """Write a finished run to a separate folder: adapter or plain model, tokenizer, model card.

    Args:
        run_folder: the run's folder.
        target: the folder to write, atomically.
        merge: write a plain transformers model instead of an adapter. Methods without an adapter (full, last layers)
            always do.
        push_to_hub: a repository id "user/name" to upload the folder to; None: no upload.

    Returns:
        The target folder.

    Raises:
        Unmergeable: the method cannot be merged.
        UserError: there is nothing to export, the target exists, or the login is missing.
    """
    run, target = read_finished(Path(run_folder)), Path(target)
    _check(run, target, push_to_hub)
    is_adapter = (run.folder / MODEL_FOLDER / ADAPTER_CONFIG).is_file()
    plain = merge or not is_adapter
    if not is_adapter and not run.config.method_type.mergeable:
        if not (run.folder / MODEL_FOLDER / ADAPTER_WEIGHTS).is_file():
            raise UserError(
                f"{run.config.method_type.title} is saved in a form of its own, which neither peft nor transformers "
                f"loads, so it cannot be exported; use it with `hf-peft-compare predict`, or load_run in Python."
            )
        raise DamagedRun(f"{run.folder / MODEL_FOLDER / ADAPTER_CONFIG} is missing", run.folder)
    if plain and not run.config.method_type.mergeable:
        raise Unmergeable(
            f"{run.config.method_type.title} cannot be merged into a plain model; export it as an adapter (no --merge)."
        )
    check_writable(target.parent)
    loaded = load_run(run.folder)
    try:
        model = run.config.method_type.merge(loaded.model) if plain else None
    except UserError as error:  # some peft types say so only when asked
        raise Unmergeable(str(error)) from None
    with atomic_path(target) as folder:
        folder.mkdir()
        if model is not None:
            model.save_pretrained(folder)
        else:
            shutil.copytree(run.folder / MODEL_FOLDER, folder, dirs_exist_ok=True)
        loaded.tokenizer.save_pretrained(folder)
        name = push_to_hub or target.name
        (folder / "README.md").write_text(model_card(run.record, run.config, name=name, plain=plain), encoding="utf-8")
    if push_to_hub is not None:
        _push(target, push_to_hub)
    return target


def _check(run: FinishedRun, target: Path, push_to_hub: str | None) -> None:
    """Raise UserError for an export that cannot succeed, before anything is loaded or written."""
    if not run.config.method_type.trains:
        raise UserError(
            f"{run.config.method_type.title} trains nothing, so there is nothing to export; choose another run."
        )
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} already exists; choose a folder that does not exist or is empty.")
    if push_to_hub is not None:
        from huggingface_hub import get_token

        if not re.fullmatch(r"[\w.-]+/[\w.-]+", push_to_hub):
            raise UserError(f"--push-to-hub {push_to_hub!r}: expected a repository id such as user/name.")
        if get_token() is None:
            raise UserError("pushing to the Hub needs a login; run `hf auth login`.")


def _push(folder: Path, repo_id: str) -> None:
    """Upload an exported folder; raise UserError with the command to retry."""
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repo_id, exist_ok=True)
        api.upload_folder(folder_path=str(folder), repo_id=repo_id, commit_message=f"Export by {REPOSITORY}")
    except Exception as error:  # network, permissions, names: the user can fix each of them
        raise UserError(
            f"{folder} is exported, but pushing it to {repo_id} failed ({type(error).__name__}: {error}). "
            f"Try again with `hf upload {repo_id} {folder}`."
        ) from None
