"""A study to publish, and a Hub in memory that it is published on."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

from finished_runs import make_record, make_run
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from hf_peft_compare.config.identity import identity_of
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.records.record import write_record
from hf_peft_compare.records.run_folder import write_predictions

HOST = "gpu-node-17"
BASE_ID = "anna/small-gpt2"
SECRET_TEXT = "Nobody may read this line of the test split."
RUNS = {"lora": {0: 2.0, 1: 1.5}, "soft": {0: 3.0}, "full": {0: 1.0}, "zero_shot": {0: None}}  # validation losses
SHARED = ("task", "dataset", "model_name_or_path", "max_length", "generation")


def finish(config: RunConfig, folder: Path, validation_loss: float | None) -> None:
    """Make a run's folder, with the record of a machine that has a name, and predictions with texts."""
    make_run(folder, config)
    made = {"device": "CPU", "host": HOST, "inputs": identity_of(config).inputs, "num_examples": {"test": 40}}
    validation = None if validation_loss is None else {"best_loss": validation_loss, "best_step": 1, "best_epoch": 1.0}
    example = {"read": SECRET_TEXT, "learned": "It"}
    record = make_record(config, validation=validation, provenance={**made, "example_input": example})
    write_record(record, folder)
    scores = [{"rougeL_fmeasure": ((7 * place + config.seed) % 10) / 18} for place in range(40)]
    lines = [{"id": str(n), "source": SECRET_TEXT, "reference": "It", "prediction": "A text."} for n in range(40)]
    found = [{**line, "scores": score, "nll": 2.5, "num_tokens": 1} for line, score in zip(lines, scores, strict=True)]
    write_predictions(found, folder)


class FakeHub(HfApi):
    """A Hub in memory: {(kind, name): (files, commits, private)}; it records calls and fails where it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(endpoint="http://127.0.0.1:1", token="hf_fake")
        self.root, self.calls = root, list[str]()
        self.repositories: dict[tuple[str, str], dict[str, object]] = {}
        self.who: object = {"name": "anna", "orgs": [{"name": "acme"}]}
        self.fails_at = ""

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if self.fails_at and call.startswith(self.fails_at):
            raise ConnectionError("the cable is out")

    def whoami(self, *_, **__):
        if isinstance(self.who, Exception):
            raise self.who
        return self.who

    def add(self, kind: str, name: str, files: dict[str, str], *, commits: int = 2, private: bool = False) -> None:
        self.repositories[kind, name] = {"files": files, "commits": commits, "private": private}

    def repo_info(self, repo_id, *, repo_type=None, **_):
        if (repo_type, repo_id) not in self.repositories:
            raise RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))
        return SimpleNamespace(private=self.repositories[repo_type, repo_id]["private"])

    def list_repo_files(self, repo_id, *, repo_type=None, **_):
        return list(self.repositories[repo_type, repo_id]["files"])

    def list_repo_commits(self, repo_id, *, repo_type=None, **_):
        return list(range(self.repositories[repo_type, repo_id]["commits"]))

    def hf_hub_download(self, repo_id, filename, *, repo_type=None, **_):
        path = self.root / f"{repo_type}-{repo_id.replace('/', '-')}-{filename}"
        path.write_text(self.repositories[repo_type, repo_id]["files"][filename])
        return str(path)

    def create_repo(self, repo_id, *, repo_type=None, private=None, exist_ok=False, space_sdk=None, **_):
        self._called(f"create {repo_type} {repo_id}{' static' * (space_sdk == 'static')}{' private' * bool(private)}")
        assert exist_ok or (repo_type, repo_id) not in self.repositories
        if (repo_type, repo_id) not in self.repositories:
            self.add(repo_type, repo_id, {".gitattributes": ""}, commits=1, private=bool(private))

    def upload_folder(self, *, repo_id, folder_path, repo_type=None, delete_patterns=None, **_):
        self._called(f"upload {repo_type} {repo_id}")
        found = self.repositories[repo_type, repo_id]
        kept = {
            name: text for name, text in found["files"].items() if not any(fnmatch(name, p) for p in delete_patterns)
        }
        paths = [path for path in Path(folder_path).rglob("*") if path.is_file()]
        new = {path.relative_to(folder_path).as_posix(): path.read_text(errors="replace") for path in paths}
        found["files"], found["commits"] = {**kept, **new}, found["commits"] + 1

    def create_collection(self, title, *, namespace=None, private=False, exists_ok=False, **_):
        assert exists_ok
        self._called(f"collection {namespace}/{title}{' private' * private}")
        return SimpleNamespace(slug=f"{namespace}/{title}-1")

    def add_collection_item(self, collection_slug, item_id, item_type, *, exists_ok=False, **_):
        assert exists_ok
        self._called(f"item {item_type} {item_id}")
