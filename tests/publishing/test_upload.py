"""Uploads: in order, into nobody else's repository, and so that a second try goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hub_stand_in import FakeHub
from huggingface_hub.errors import LocalTokenNotFoundError

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.publishing.publish import Publication
from hf_peft_compare.publishing.repositories import MARKER, PublishOptions, Repository, folder_of
from hf_peft_compare.publishing.upload import check_account, check_free, upload


@pytest.fixture
def prepared(published: Publication, tree: Path) -> list[Repository]:
    return [replace(each, folder=folder_of(tree, each.kind, each.repo_id)) for each in published.repositories]


def test_repositories_are_created_filled_and_collected(
    hub: FakeHub, prepared: list[Repository], options: PublishOptions
) -> None:
    address = upload(hub, prepared, replace(options, private=True), title="Tiny")
    models = [f"{call} model anna/tiny-{row}" for row in ("lora", "soft", "full") for call in ("create", "upload")]
    assert hub.calls[:10] == [
        *(f"{call} private" if call.startswith("create") else call for call in models),
        "create dataset anna/tiny private",
        "upload dataset anna/tiny",
        "create space anna/tiny static private",
        "upload space anna/tiny",
    ]
    items = [f"item model anna/tiny-{row}" for row in ("lora", "soft", "full")]
    assert hub.calls[10:] == ["collection anna/tiny private", *items, "item dataset anna/tiny", "item space anna/tiny"]
    assert address == "https://huggingface.co/collections/anna/tiny-1"
    assert "index.html" in hub.repositories["space", "anna/tiny"]["files"]


def test_a_failed_upload_says_what_is_up_and_the_next_try_goes_on(
    hub: FakeHub, prepared: list[Repository], options: PublishOptions
) -> None:
    hub.fails_at = "upload model anna/tiny-soft"
    with pytest.raises(RunFailed) as caught:
        upload(hub, prepared, options, title="Tiny")
    said = str(caught.value)
    assert "model anna/tiny-soft could not be uploaded (ConnectionError: the cable is out)" in said
    assert "uploaded: model anna/tiny-lora; not uploaded: model anna/tiny-soft, model anna/tiny-full" in said
    hub.fails_at = ""
    for each in prepared:  # the half-made one too
        check_free(hub, each.kind, each.repo_id, "tiny", private=False)
    upload(hub, prepared, options, title="Tiny")
    assert len(hub.repositories) == 5 and hub.calls[-1] == "item space anna/tiny"


def test_what_an_earlier_publication_left_is_replaced_and_other_files_stay(
    hub: FakeHub, prepared: list[Repository], options: PublishOptions
) -> None:
    old = {"records/x-seed0/predictions.jsonl": "texts", "LICENSE": "MIT", MARKER: '{"study": "tiny"}'}
    hub.add("dataset", "anna/tiny", old)
    upload(hub, prepared, options, title="Tiny")
    files = hub.repositories["dataset", "anna/tiny"]["files"]
    assert "records/x-seed0/predictions.jsonl" not in files and {"LICENSE", "records/study.yaml"} <= set(files)


@pytest.mark.parametrize(
    ("files", "commits", "message"),
    [
        ({"README.md": "mine", "data.csv": "1"}, 1, "is taken: it is not of hf-peft-compare"),
        ({"README.md": "mine"}, 5, "is taken: it is not of hf-peft-compare"),
        ({MARKER: '{"study": "other"}'}, 2, "is taken: it is of study other"),
    ],
)
def test_a_repository_of_something_else_is_taken(
    files: dict[str, str], commits: int, message: str, hub: FakeHub
) -> None:
    hub.add("dataset", "anna/tiny", files, commits=commits)
    with pytest.raises(UserError, match=message):
        check_free(hub, "dataset", "anna/tiny", "tiny", private=False)


def test_a_hub_that_does_not_answer_is_one_error(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ConnectionError("502")

    monkeypatch.setattr(hub, "repo_info", break_down)
    with pytest.raises(UserError, match=r"dataset anna/tiny cannot be looked at \(ConnectionError: 502\)"):
        check_free(hub, "dataset", "anna/tiny", "tiny", private=False)


def test_what_should_be_private_does_not_go_into_a_public_repository(hub: FakeHub) -> None:
    hub.add("dataset", "anna/tiny", {MARKER: '{"study": "tiny"}'})
    check_free(hub, "dataset", "anna/tiny", "tiny", private=False)
    with pytest.raises(UserError, match="exists and is public"):
        check_free(hub, "dataset", "anna/tiny", "tiny", private=True)


@pytest.mark.parametrize(
    ("who", "message"),
    [
        (LocalTokenNotFoundError("no token"), "hf auth login"),
        (ConnectionError("no route"), "cannot be reached.*--dry-run"),
        ({"name": "bert"}, "bert is logged in, who may publish to bert"),
        ({"name": "anna", "auth": {"accessToken": {"role": "read"}}}, "may only read"),
    ],
)
def test_who_may_not_publish_is_told_why(who: object, message: str, hub: FakeHub) -> None:
    hub.who = who
    with pytest.raises(UserError, match=message):
        check_account(hub, "anna")


def test_a_member_may_publish_for_the_organization(hub: FakeHub) -> None:
    check_account(hub, "acme")
