"""Files of a scratch folder and of the remote one: copied once, whole, and within the folder."""

from pathlib import Path

import pytest
from remote_stores import elsewhere, store  # noqa: F401 - fixtures

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.remote_folder import local_folder, local_name, remote_of, shown


def write(folder, **files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return list(files)


def folder_of(url):
    return remote_of(local_folder(url))


def test_a_path_is_itself_and_a_url_has_a_scratch_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_PEFT_COMPARE_CACHE", str(tmp_path))
    assert local_folder("runs/a") == Path("runs/a") and remote_of(Path("runs/a")) is None
    assert local_name("quickstart") == "quickstart" and shown(Path("runs/a")) == "runs/a"
    assert local_folder("memory://bucket/runs/") == tmp_path / "remote/memory/bucket/runs"
    assert shown(local_folder("memory://bucket") / "runs") == "memory://bucket/runs"
    assert shown(local_folder("file:///data/runs")) == "file:///data/runs"


def test_what_is_uploaded_here_is_fetched_elsewhere(store, elsewhere):  # noqa: F811
    here = folder_of(store)
    here.upload(write(here.folder, **{"a.txt": "one", "deep/b.txt": "two"}))
    elsewhere("there")
    there = folder_of(store)
    there.fetch(there.files())
    assert there.folder != here.folder
    assert (there.folder / "a.txt").read_text() == "one" and (there.folder / "deep/b.txt").read_text() == "two"


def test_nothing_is_copied_twice(store, elsewhere, monkeypatch):  # noqa: F811
    here = folder_of(store)
    names = write(here.folder, a="one", b="two")
    here.upload(names)
    assert here.changed(names) == []
    copied = []
    monkeypatch.setattr(here._fs, "get_file", lambda *names: copied.append(names))
    here.fetch(here.files())
    assert copied == []
    write(here.folder, b="three!")
    assert here.changed(names) == ["b"]


def test_another_machines_file_replaces_the_one_here(store, elsewhere):  # noqa: F811
    here = folder_of(store)
    here.upload(write(here.folder, a="one"))
    elsewhere("there")
    there = folder_of(store)
    there.fetch(there.files())
    there.upload(write(there.folder, a="another"))
    elsewhere("here")
    found = here.files()
    assert here.is_other("a", found["a"])
    here.fetch(found)
    assert (here.folder / "a").read_text() == "another" and not here.is_other("a", found["a"])


def test_names_that_lead_out_of_the_folder_and_hidden_ones_are_no_files_of_it(store):  # noqa: F811
    here = folder_of(store)
    for name in ("seen", ".owner", "run/.hidden/file"):
        here.write(name, b"")
    found = here.files()
    assert set(found) == {"seen"}
    here._fs.find = lambda *args, **kwargs: {f"{here._root}/../out": {"size": 1}, f"{here._root}/in": {"size": 1}}
    try:
        assert set(here.files()) == {"in"}
    finally:
        del here._fs.find


def test_a_folder_is_moved_and_removed(store):  # noqa: F811
    here = folder_of(store)
    here.upload(write(here.folder, **{"run/a": "1", "run/deep/b": "2", "other": "3"}))
    here.move("run", "old/run-1")
    assert set(here.files()) == {"old/run-1/a", "old/run-1/deep/b", "other"}
    here.remove("old")
    here.remove("never/there")
    assert set(here.files()) == {"other"}
    assert here.read("other") == b"3" and here.read("run/a") is None


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nonsense://bucket/runs", "no file system has the protocol 'nonsense'"),
        ("s3://key:secret@bucket/runs", "has '@' or"),
        ("az://container/runs?sig=abc", "has '@' or"),
        ("s3://", "names no folder"),
        ("s3://bucket/../other", "names no folder"),
    ],
)
def test_bad_urls_are_one_error_without_what_they_may_hold(url, error):
    with pytest.raises(UserError, match=error) as found:
        remote_of(local_folder(url))
    assert "secret" not in str(found.value) and "abc" not in str(found.value)


def test_a_missing_package_is_named(without):
    without("ossfs")
    with pytest.raises(UserError, match=r"cannot use oss://bucket/runs: Install ossfs"):
        remote_of(local_folder("oss://bucket/runs"))


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_bucket_that_does_not_exist_is_one_error(store):  # noqa: F811
    with pytest.raises(UserError, match="cannot write s3://no-such-bucket/runs: "):
        folder_of("s3://no-such-bucket/runs").check_writable()
    folder_of(store).check_writable()


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_PEFT_COMPARE_CACHE", str(tmp_path / "here"))
    (tmp_path / "store").write_text("a file")
    with pytest.raises(UserError, match="cannot write file://"):
        folder_of(f"file://{tmp_path}/store").check_writable()
