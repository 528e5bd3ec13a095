"""Files and folders are written atomically; a lock belongs to one process and changes no content."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.files import atomic_path, check_writable, lock_file, open_to_append, write_text_atomically


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


def test_a_lone_surrogate_is_written_as_json_calls_it(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "file", "\ud83d")
    assert (tmp_path / "file").read_text() == "\\ud83d"


def test_a_lock_is_held_once_goes_with_its_process_and_keeps_the_files_content(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("not ours")
    hold = "with lock_file(Path(sys.argv[1]), wait=False): print('held', flush=True); sys.stdin.read()"
    code = f"import sys; from pathlib import Path; from hf_peft_compare.utils.files import lock_file\n{hold}"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), lock_file(path, wait=False):
            pass
        holder.kill()
        holder.wait()
    with lock_file(path, wait=False):
        assert path.read_text() == "not ours"


@pytest.mark.parametrize("there", [True, False])
def test_no_link_is_followed_to_append_or_lock(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "theirs").write_text("kept")
    (tmp_path / "log.txt").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError), lock_file(tmp_path / "log.txt", wait=True):
        pass
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
