"""Upload prepared repositories: only into ones that are new or of the same study, and so that a second try goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.publishing.repositories import (
    MARKER,
    MINE,
    Kind,
    PublishOptions,
    Repository,
    study_of_marker,
)
from hf_peft_compare.utils.hub_errors import HUB
from hf_peft_compare.utils.reading import read_text

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# What the Hub itself puts into a new repository, with its one commit.
FRESH = {".gitattributes", "README.md", "index.html", "style.css"}
LONGEST_DESCRIPTION = 150  # characters, the Hub's limit for a collection


def check_account(api: HfApi, namespace: str) -> None:
    """Raise UserError unless someone is logged in who may write to a namespace."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        who: dict[str, Any] = api.whoami()
    except LocalTokenNotFoundError:
        raise UserError("publishing needs a login; run `hf auth login` with a token that may write.") from None
    except HfHubHTTPError as error:
        raise UserError(f"the Hub does not accept the login ({_one_line(error)}); run `hf auth login` again.") from None
    except Exception as error:  # the client's network errors have no common class
        raise UserError(
            f"the Hub cannot be reached ({_one_line(error)}); check the network and HF_HUB_OFFLINE, or see what would "
            f"be published with --dry-run."
        ) from None
    places = [who["name"], *(org["name"] for org in who.get("orgs", ()))]
    if namespace not in places:
        raise UserError(
            f"--to {namespace}/…: {who['name']} is logged in, who may publish to {', '.join(places)}; choose one of "
            f"these, or log in as another user: `hf auth login`."
        )
    if who.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise UserError(f"the token of {who['name']} may only read; run `hf auth login` with one that may write.")


def check_free(api: HfApi, kind: Kind, repo_id: str, study: str, *, private: bool) -> None:
    """Raise UserError if a repository is there that is of something else, or is public though it should be private."""
    try:
        theirs, is_private = _owner(api, kind, repo_id, study)
    except Exception as error:  # the client's errors of network and server have no common class
        raise UserError(f"{kind} {repo_id} cannot be looked at ({_one_line(error)}); try again later.") from None
    if theirs != study:
        of = "is not of hf-peft-compare" if theirs is None else f"is of study {theirs}"
        raise UserError(f"{kind} {repo_id} is taken: it {of}. Choose another name (--to), or delete it on the Hub.")
    if private and not is_private:
        raise UserError(f"{kind} {repo_id} exists and is public; make it private on the Hub, or leave out --private.")


def _owner(api: HfApi, kind: Kind, repo_id: str, study: str) -> tuple[str | None, bool]:
    """Return the study that a repository is of, this one if it is free, and whether it is, or can be made, private."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.repo_info(repo_id, repo_type=kind)
    except RepositoryNotFoundError:
        return study, True
    files = set(api.list_repo_files(repo_id, repo_type=kind))
    if MARKER in files:
        marker = Path(api.hf_hub_download(repo_id, MARKER, repo_type=kind))
        return study_of_marker(read_text(marker)), bool(found.private)
    is_new = files <= FRESH and len(api.list_repo_commits(repo_id, repo_type=kind)) <= 1
    return study if is_new else None, bool(found.private)  # a new one: perhaps of an upload that was interrupted


def upload(api: HfApi, repositories: Sequence[Repository], options: PublishOptions, *, title: str) -> str:
    """Create and fill the repositories and their collection; return the collection's address.

    Args:
        title: the study's.

    Raises:
        RunFailed: something could not be uploaded; the message says what is there and what is not.
    """
    done: list[str] = []
    left = [f"{repository.kind} {repository.repo_id}" for repository in repositories] + ["collection"]
    try:
        for repository in repositories:
            _upload(api, repository, private=options.private)
            done.append(left.pop(0))
        return _collect(api, repositories, options, title)
    except Exception as error:  # network, permissions, quotas: each can be mended, and what is up stays
        there = f"uploaded: {', '.join(done)}" if done else "nothing is uploaded"
        raise RunFailed(
            f"{left[0]} could not be uploaded ({_one_line(error)}). {there}; not uploaded: {', '.join(left)}. Run the "
            f"same command again to go on."
        ) from None


def _upload(api: HfApi, repository: Repository, *, private: bool) -> None:
    sdk = {"space_sdk": "static"} if repository.kind == "space" else {}
    api.create_repo(repository.repo_id, repo_type=repository.kind, private=private, exist_ok=True, **sdk)  # type: ignore[arg-type]
    api.upload_folder(
        repo_id=repository.repo_id,
        repo_type=repository.kind,
        folder_path=str(repository.folder),
        delete_patterns=MINE[repository.kind],
        commit_message="Publish with hf-peft-compare",
    )


def _collect(api: HfApi, repositories: Sequence[Repository], options: PublishOptions, title: str) -> str:
    collection = api.create_collection(
        options.name,
        namespace=options.namespace,
        description=title[:LONGEST_DESCRIPTION],
        private=options.private,
        exists_ok=True,
    )
    for repository in repositories:
        api.add_collection_item(collection.slug, repository.repo_id, repository.kind, exists_ok=True)
    return f"{HUB}/collections/{collection.slug}"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
