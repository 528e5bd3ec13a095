"""Publishing as a user does it: a dry run, wrong input, and nothing uploaded where something is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hub_stand_in import BASE_ID, FakeHub

from hf_peft_compare.cli.main import main
from hf_peft_compare.core.errors import BAD_INPUT, OK, UserError
from hf_peft_compare.publishing.publish import Publication, publish
from hf_peft_compare.publishing.repositories import PublishOptions
from hf_peft_compare.results.result import Result


def test_a_dry_run_says_what_would_be_uploaded_and_where_it_is(published: Publication) -> None:
    said = str(published)
    assert "anna/tiny-lora" in said and "nothing was uploaded" in said and str(published.folder) in said
    assert published.collection is None


def test_the_command_makes_the_tree_and_makes_it_again(
    study: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["publish", str(study), "--to", "anna/tiny", "--hub-id", f"{base}={BASE_ID}", "--dry-run"]
    command += ["--output", str(tmp_path / "out")]
    assert main(command) == OK
    (tmp_path / "out" / "stale.txt").touch()
    assert main(command) == OK
    assert "anna/tiny" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["datasets", "publication.json", "spaces"]


def test_a_folder_of_others_is_kept(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    command = ["publish", str(study), "--to", "anna/tiny", "--dry-run", "--output", str(tmp_path)]
    assert main(command) == BAD_INPUT and "already exists" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["lorra"], "unknown row of study tiny 'lorra'. Did you mean 'lora'"),
        (["zero_shot"], "Zero-shot.*trains nothing"),
    ],
)
def test_a_row_without_a_model_is_one_error(rows: list[str], message: str, study: Path, hub: FakeHub) -> None:
    with pytest.raises(UserError, match=message):
        publish(Result.read(study), PublishOptions(to="anna/tiny", rows=rows), api=hub)
    assert hub.calls == []


def test_a_study_without_a_finished_run_is_one_error(study: Path, hub: FakeHub) -> None:
    result = Result.read(study)
    failed = {run: replace(record, status="failed", error="boom") for run, record in result.records.items()}
    with pytest.raises(UserError, match="no run of tiny has finished"):
        publish(replace(result, records=failed), PublishOptions(to="anna/tiny"), api=hub)


def test_a_local_base_is_refused_before_anything_is_uploaded_and_redacted_on_request(
    study: Path, base: Path, hub: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        publish(Result.read(study), PublishOptions(to="anna/tiny"), api=hub)
    assert "local model: " in str(caught.value) and "/record.json:" in str(caught.value)
    assert "--hub-id" in str(caught.value) and str(base)[-30:] in str(caught.value)
    assert hub.calls == []
    found = Result.read(study).publish("anna/tiny", redact=True, dry_run=tmp_path / "out")
    assert found.folder is not None
    assert "(redacted path)" in (found.folder / "datasets/anna/tiny/records/study.yaml").read_text()


def test_a_taken_name_is_noticed_before_anything_is_made(study: Path, options: PublishOptions, hub: FakeHub) -> None:
    hub.add("space", "anna/tiny", {"app.py": "mine"})
    with pytest.raises(UserError, match="space anna/tiny is taken"):
        publish(Result.read(study), options, api=hub)
    assert hub.calls == []


def test_the_whole_way_up(study: Path, options: PublishOptions, hub: FakeHub) -> None:
    said = str(publish(Result.read(study), replace(options, rows=["lora"]), api=hub))
    assert hub.calls[-1] == "item space anna/tiny"
    assert "https://huggingface.co/datasets/anna/tiny" in said and "https://huggingface.co/anna/tiny-lora" in said
    assert said.endswith("https://huggingface.co/collections/anna/tiny-1")
