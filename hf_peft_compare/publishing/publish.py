"""Publish a study: prepare everything, check it for what is private, then upload it, or leave it in a folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.publishing.cleaning import private_names
from hf_peft_compare.publishing.leaks import check_leaks
from hf_peft_compare.publishing.repositories import Kind, PublishOptions, Repository
from hf_peft_compare.publishing.tree import source_of, write_tree
from hf_peft_compare.publishing.upload import check_account, check_free, upload
from hf_peft_compare.results.result import Result
from hf_peft_compare.utils.files import atomic_path, check_writable
from hf_peft_compare.utils.formatting import format_bytes, format_count
from hf_peft_compare.utils.quiet import quiet
from hf_peft_compare.utils.remote_code import trusting
from hf_peft_compare.utils.text_tables import text_table

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SUMMARY = "publication.json"  # in the folder of a dry run


@dataclass(frozen=True, kw_only=True, repr=False)
class Publication:
    """What was published, or would be.

    Args:
        repositories: in the order of their upload.
        contents: {repository's place in that order: {file: bytes}}.
        collection: its address; None: a dry run.
        folder: where a dry run left everything; None: it was uploaded.
    """

    repositories: Sequence[Repository]
    contents: Sequence[dict[str, int]]
    collection: str | None = None
    folder: Path | None = None

    def __str__(self) -> str:
        pairs = list(zip(self.repositories, self.contents, strict=True))
        titles = ["repository", "kind", "files", "size", "remark"]
        rows = [
            [found.repo_id, found.kind, format_count(len(files)), format_bytes(sum(files.values())), found.note]
            for found, files in pairs
        ]
        table = text_table(titles, rows, left=["repository", "kind", "remark"])
        if self.folder is not None:
            return f"{table}\n\nnothing was uploaded; what would be is in {self.folder}"
        return "\n".join([table, "", *(found.address for found in self.repositories), str(self.collection)])

    __repr__ = __str__


def publish(
    result: Result, options: PublishOptions, *, dry_run: Path | None = None, api: HfApi | None = None
) -> Publication:
    """Publish a study's records, its page, models of its rows, and a collection of them.

    Args:
        dry_run: write what would be published into this folder, and upload nothing.
        api: the client of the Hub; None: one with the login of this machine.

    Raises:
        UserError: something cannot be published, should stay private, or has a name that is taken; nothing is uploaded.
        RunFailed: not all of it could be uploaded.
    """
    _check_rows(result, options)
    if dry_run is not None:
        _check_target(dry_run)
    else:
        api = api or _client()
        check_account(api, options.namespace)
        for kind, repo_id in _wanted(options):
            check_free(api, kind, repo_id, result.study.name, private=options.private)
    names = private_names(result, namespace=options.namespace)
    for path in options.hub_ids:
        names.pop(path, None)
    with tempfile.TemporaryDirectory() as scratch, quiet(), trusting(result.trusts_remote_code):
        tree = Path(scratch) / "tree"
        repositories = write_tree(source_of(result, options, names), options, tree)
        check_leaks(tree, names)
        publication = Publication(repositories=repositories, contents=[found.files for found in repositories])
        if dry_run is not None:
            _keep(tree, publication, dry_run)
            return replace(publication, folder=dry_run)
        assert api is not None
        return replace(publication, collection=upload(api, repositories, options, title=result.study.title))


def _client() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="hf_peft_compare")


def _check_rows(result: Result, options: PublishOptions) -> None:
    """Raise UserError if there is nothing to publish, or a row has no model."""
    if not result.comparison.finished_rows:
        raise UserError(f"no run of {result.study.name} has finished, so there is nothing to publish; run it first.")
    for name in options.rows:
        row = result.comparison.row(name)
        if row is None:
            raise unknown(f"row of study {result.study.name}", name, result)
        if not row.finished_runs:
            raise UserError(f"no run of {name} has finished ({row.remark}), so it has no model to publish.")
        if not get_method(row.finished_runs[0].record.method).trains:  # type: ignore[union-attr]
            raise UserError(
                f"{row.label} trains nothing, so {name} has no model to publish; leave out --row {name}. Its "
                f"scores are among the records."
            )


def _wanted(options: PublishOptions) -> list[tuple[Kind, str]]:
    """Return kind and name of each repository."""
    return [
        *(("model", repo_id) for repo_id in options.models.values()),
        ("dataset", options.to),
        ("space", options.to),
    ]


def _check_target(folder: Path) -> None:
    """Raise UserError unless a folder is new, empty, or that of an earlier dry run."""
    if folder.exists() and not (folder.is_dir() and ((folder / SUMMARY).is_file() or not any(folder.iterdir()))):
        raise UserError(f"{folder} already exists; choose a folder that does not exist or is empty (--output).")
    check_writable(folder.parent)


def _keep(tree: Path, publication: Publication, folder: Path) -> None:
    """Move the tree into the folder of a dry run, with a summary, in the place of an earlier one."""
    found = zip(publication.repositories, publication.contents, strict=True)
    summary = [{"repository": each.repo_id, "kind": each.kind, "files": files} for each, files in found]
    (tree / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if folder.is_dir():
        shutil.rmtree(folder)
    with atomic_path(folder) as target:
        shutil.move(tree, target)
