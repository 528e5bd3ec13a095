"""Files and folders are written atomically."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.files import (
    PARTIAL,
    atomic_files,
    atomic_path,
    check_writable,
    describe_full_disk,
    open_to_append,
    remove_leftovers,
    write_text_atomically,
)


def test_a_folder_appears_whole_also_where_an_empty_one_was(tmp_path: Path) -> None:
    (tmp_path / "deep" / "folder").mkdir(parents=True)
    with atomic_path(tmp_path / "deep" / "folder") as folder:
        folder.mkdir()
        (folder / "file").write_text("x")
        assert not any((tmp_path / "deep" / "folder").iterdir())
    assert (tmp_path / "deep" / "folder" / "file").read_text() == "x"
    assert os.listdir(tmp_path / "deep") == ["folder"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_write_that_is_cut_short_leaves_the_old_file_and_no_other(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    write_text_atomically(path, "old")

    def power_cut(*args: object) -> None:
        raise OSError("no power")

    monkeypatch.setattr(os, moment, power_cut)
    with pytest.raises(OSError, match="no power"):
        write_text_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError), atomic_path(tmp_path / "file") as path:
        path.write_text("half")
        raise ValueError
    assert os.listdir(tmp_path) == []


def test_a_file_is_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text_atomically(tmp_path / "ours", "x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="device or a pipe"):
        write_text_atomically(tmp_path / "pipe", "x")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["file", "file/deep", "x" * 300, "nul\0", "dangling", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_to_is_a_user_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "deep")
    with pytest.raises(UserError, match="cannot write to .* Choose another folder"):
        check_writable(tmp_path / name)
    check_writable(tmp_path / "new" / "runs")
    assert list((tmp_path / "new" / "runs").iterdir()) == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_the_umask_whoever_wrote_the_file(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_text_atomically(tmp_path / "text", "x")
        with atomic_path(tmp_path / "folder") as folder:
            folder.mkdir(mode=0o700)
            (folder / "weights").touch(mode=0o600)  # as safetensors does
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"text": 0o666 & ~mask, "folder": 0o777 & ~mask, "weights": 0o666 & ~mask}


def test_an_error_of_the_disk_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/file'"), atomic_path(tmp_path / "file"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_files_of_a_folder_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    def write(text: str, *, fail: bool = False) -> None:
        with atomic_files(tmp_path / "report") as new:
            write_text_atomically(new / "page", text)
            write_text_atomically(new / "figures" / "figure", text)
            if fail:
                raise OSError("full")

    def read() -> dict[str, str]:
        found = (path for path in (tmp_path / "report").rglob("*") if path.is_file())
        return {path.name: path.read_text() for path in found}

    write("old")
    (tmp_path / "report" / "mine").write_text("kept")
    with pytest.raises(OSError, match="full"):
        write("new", fail=True)
    assert read() == {"page": "old", "figure": "old", "mine": "kept"}
    write("new")
    assert read() == {"page": "new", "figure": "new", "mine": "kept"}
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"page", "figures", "mine"}


def test_what_killed_writers_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    for code in (
        "with atomic_path(folder / 'deep' / 'file') as path: path.write_text('half'); os._exit(1)",
        "with atomic_files(folder / 'report') as new: (new / 'page').write_text('half'); os._exit(1)",
    ):
        head = "import os, sys\nfrom pathlib import Path\nfrom hf_peft_compare.utils.files import *\n"
        subprocess.run([sys.executable, "-c", f"{head}folder = Path(sys.argv[1])\n{code}", str(tmp_path)], check=False)
    assert len(list(tmp_path.rglob(f"*{PARTIAL}"))) == 2
    (tmp_path / f".progress.json{PARTIAL}").touch()
    other = tmp_path / f".record.json.00000000.another_host-1{PARTIAL}"
    other.touch()  # its process cannot be asked; a day later nobody waits for it
    with atomic_path(tmp_path / "deep" / "file") as path:
        path.write_text("whole")
        remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"deep", "file", "report", other.name}
    os.utime(other, (0, 0))
    remove_leftovers(tmp_path)
    assert not other.exists()
    assert (tmp_path / "deep" / "file").read_text() == "whole"


def test_an_error_is_said_to_be_due_to_a_full_disk_only_if_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert describe_full_disk(tmp_path, ValueError("no")) == describe_full_disk(tmp_path / "none", ValueError()) == ""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert f"the disk of {tmp_path} is full" in describe_full_disk(tmp_path, full)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    assert "is full" in describe_full_disk(tmp_path, RuntimeError("a writer that says no more"))


def test_a_lone_surrogate_is_written_as_json_calls_it(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "file", "\ud83d")
    assert (tmp_path / "file").read_text() == "\\ud83d"


@pytest.mark.parametrize("there", [True, False])
def test_no_link_is_followed_to_append(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "theirs").write_text("kept")
    (tmp_path / "log.txt").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError):
        open_to_append(tmp_path / "log.txt")
    assert (tmp_path / "theirs").exists() == there
    assert not there or (tmp_path / "theirs").read_text() == "kept"


def test_a_pipe_is_no_file_to_append_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        open_to_append(tmp_path / "pipe")


def test_an_atomic_write_replaces_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / "record.json").symlink_to(tmp_path / "theirs")
    write_text_atomically(tmp_path / "record.json", "ours")
    assert (tmp_path / "theirs").read_text() == "kept" and not (tmp_path / "record.json").is_symlink()
