"""The repositories of a study on the Hub: their names, and the folders that are uploaded as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.hub_errors import HUB

Kind = Literal["model", "dataset", "space"]
MARKER = "hf_peft_compare.json"  # in each repository: whose it is
MINE = {  # what an earlier publication may have left and this one replaces
    "dataset": ["records/*", "results.*"],
    "model": ["*.safetensors", "*.safetensors.index.json", "*.json", ".eval_results/*"],
    "space": ["index.html"],
}


class PublishKeywords(TypedDict, total=False):
    """How a study is published, see `PublishOptions`."""

    private: bool
    with_predictions: bool
    merge: bool
    license: str | None
    hub_ids: Mapping[str, str]
    redact: bool
    benchmark_task: str | None


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """What is published, and where.

    Args:
        to: the repository "NAMESPACE/NAME" of the records and the page; those of models are NAME-ROW.
        rows: the rows whose models are published.
        private: create private repositories.
        with_predictions: publish the predictions too, with the texts of the test split; the page then shows examples.
        merge: publish plain transformers models where a method can be merged, in place of adapters.
        license: an identifier of the Hub's list, such as "apache-2.0"; None: the cards name none.
        hub_ids: {local path: what it is called on the Hub}.
        redact: put placeholders in the place of paths, hosts and users.
        benchmark_task: the task's id in the eval.yaml of the study's data set, where that is a benchmark of the Hub:
            models then have the ranking score in `.eval_results/`; None: they have no such file.
    """

    to: str
    rows: Sequence[str] = ()
    private: bool = False
    with_predictions: bool = False
    merge: bool = False
    license: str | None = None
    hub_ids: Mapping[str, str] = field(default_factory=dict)
    redact: bool = False
    benchmark_task: str | None = None

    def __post_init__(self) -> None:
        """Raise UserError for a name that the Hub does not take."""
        if self.to.count("/") != 1:
            raise UserError(f"--to is {self.to!r}; expected NAMESPACE/NAME, such as anna/tickets.")
        for name in (self.to, *self.models.values(), *self.hub_ids.values()):
            _check_name(name)
        if len(set(self.models.values())) < len(self.models):
            raise UserError(
                f"rows {', '.join(self.rows)} have the same name on the Hub; publish one of them at a time."
            )
        if self.license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.license):
            raise UserError(f"--license is {self.license!r}; expected an identifier such as apache-2.0, mit or other.")

    @property
    def namespace(self) -> str:
        """The user or organization."""
        return self.to.split("/")[0]

    @property
    def name(self) -> str:
        """The name of the records' repository, and of the collection."""
        return self.to.split("/")[1]

    @property
    def models(self) -> dict[str, str]:
        """{row: repository of its model}."""
        return {row: f"{self.to}-{re.sub(r'[^A-Za-z0-9._]+', '-', row).strip('-.')}" for row in self.rows}


def _check_name(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"{name!r} is no name of a repository: {' '.join(str(error).split())}") from None


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One repository, as it will be.

    Args:
        kind: "model", "dataset" or "space".
        repo_id: its name on the Hub.
        folder: its files.
        note: a remark for whoever publishes it.
    """

    kind: Kind
    repo_id: str
    folder: Path
    note: str = ""

    @property
    def files(self) -> dict[str, int]:
        """{file: bytes}, in alphabetical order."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in found}

    @property
    def address(self) -> str:
        """Its page on the Hub."""
        prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[self.kind]
        return f"{HUB}/{prefix}{self.repo_id}"


def folder_of(tree: Path, kind: Kind, repo_id: str) -> Path:
    """Return the folder of a repository in the tree that is uploaded."""
    return tree / f"{kind}s" / repo_id


def write_marker(folder: Path, study: str) -> None:
    """Write the file by which a repository is known to be of a study."""
    (folder / MARKER).write_text(json.dumps({"study": study}) + "\n", encoding="utf-8")


def study_of_marker(text: str) -> str | None:
    """Return the study that a marker names; None: it is none of ours."""
    try:
        return str(json.loads(text)["study"])
    except (ValueError, KeyError, TypeError):
        return None
