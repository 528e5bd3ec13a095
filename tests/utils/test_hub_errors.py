"""Errors of the hub or of a folder are explained in one line with the remedy."""

import httpx
import pytest
from datasets.exceptions import DatasetGenerationError
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from hf_peft_compare.utils.hub_errors import explain


def hub_error(kind):
    return kind("403", response=httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co")))


def caused_by(cause):
    """An error as transformers raises it: an OSError because of the hub's."""
    try:
        try:
            raise cause
        except type(cause) as error:
            raise OSError("can't load it") from error
    except OSError as error:
        return error


@pytest.mark.parametrize("wrap", [lambda error: error, caused_by])
@pytest.mark.parametrize(
    ("what", "page", "key"),
    [
        ("model", "https://huggingface.co/some/thing", "model_name_or_path"),
        ("dataset", "https://huggingface.co/datasets/some/thing", "dataset"),
    ],
)
def test_a_gated_repository_names_its_license_page_and_the_login(what, page, key, wrap):
    text = explain(what, "some/thing", wrap(hub_error(GatedRepoError)))
    assert f"Accept its license at {page}, then log in with `hf auth login`" in text
    assert f"--set {key}=PATH" in text


def test_a_gated_repository_is_known_by_its_message_too():
    text = explain("model", "some/thing", OSError("You are trying to access a gated repo."))
    assert "hf auth login" in text and "is gated" in text


def test_a_repository_that_is_not_there_asks_for_the_spelling():
    text = explain("model", "gpt3", caused_by(hub_error(RepositoryNotFoundError)))
    assert text.startswith("model gpt3 is not on the hub")
    assert "check the spelling" in text


def test_without_a_network_a_local_folder_helps():
    text = explain("dataset", "some/thing", ConnectionError("Name or\nservice not known"))
    assert "the hub cannot be reached" in text
    assert "ConnectionError: Name or service not known" in text
    assert "--set dataset=PATH" in text
    assert "\n" not in text


def test_a_folder_that_cannot_be_read_has_its_reason_in_the_error(tmp_path):
    text = explain("model", str(tmp_path), OSError("no file named config.json"))
    assert text == f"model folder {tmp_path} cannot be read: OSError: no file named config.json"


def test_a_file_is_no_folder_and_its_error_has_the_cause(tmp_path):
    (tmp_path / "d.csv").write_text("")
    error = DatasetGenerationError("An error occurred while generating the dataset")
    error.__cause__ = ValueError("no columns")
    text = explain("dataset", str(tmp_path / "d.csv"), error)
    assert text == f"dataset file {tmp_path / 'd.csv'} cannot be read: ValueError: no columns"


def test_long_messages_are_cut():
    assert len(explain("model", "some/thing", OSError("x" * 5000))) < 500


def test_errors_that_cause_each_other_end():
    one, two = OSError("one"), OSError("two")
    one.__cause__, two.__cause__ = two, one
    assert "one" in explain("model", "some/thing", one)
