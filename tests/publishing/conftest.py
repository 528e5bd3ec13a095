"""A finished study of several rows on one small local base, and what a dry run makes of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from finished_runs import METHODS, make_config, save_base
from hub_stand_in import BASE_ID, RUNS, SHARED, FakeHub, finish

from hf_peft_compare.publishing.publish import Publication, publish
from hf_peft_compare.publishing.repositories import PublishOptions
from hf_peft_compare.records.run_folder import STUDY_FILE
from hf_peft_compare.results.result import Result


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study whose base model is a local folder."""
    root = tmp_path_factory.mktemp("anna")
    base, folder = save_base(root / "base"), root / "runs" / "tiny"
    for row, seeds in RUNS.items():
        for seed, loss in seeds.items():
            finish(make_config(base, row, seed=seed), folder / f"{row}-seed{seed}", loss)
    shared = asdict(make_config(base, "lora"))
    methods = {row: {"method": METHODS[row]["name"]} for row in RUNS}
    tree = {"title": "Tiny", **{key: shared[key] for key in SHARED}, "methods": methods, "seeds": [0, 1]}
    (folder / STUDY_FILE).write_text(yaml.safe_dump({"name": "tiny", **tree}))
    return folder


@pytest.fixture(scope="session")
def base(study: Path) -> Path:
    """The study's base."""
    return study.parents[1] / "base"


@pytest.fixture(scope="session")
def options(base: Path) -> PublishOptions:
    """What the dry run publishes; `soft` cannot be merged."""
    rows = ["lora", "soft", "full"]
    return PublishOptions(to="anna/tiny", rows=rows, license="mit", hub_ids={str(base): BASE_ID})


@pytest.fixture(scope="session")
def published(study: Path, options: PublishOptions, tmp_path_factory: pytest.TempPathFactory) -> Publication:
    """The dry run."""
    return publish(Result.read(study), options, dry_run=tmp_path_factory.mktemp("dry") / "tiny")


@pytest.fixture(scope="session")
def tree(published: Publication) -> Path:
    """The folder of the dry run."""
    assert published.folder is not None
    return published.folder


@pytest.fixture
def hub(tmp_path: Path) -> FakeHub:
    """A Hub without repositories, where anna is logged in."""
    return FakeHub(tmp_path)
