"""Whatever stands in a file's place, reading it ends in its content or in one error that names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.reading import read_json, read_text


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"ü": [1, 2.5, NaN, 9223372036854775807]}', encoding="utf-8")
    assert list(read_json(path)) == ["ü"]
    assert read_text(path).startswith('{"ü"')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"a": "\xc3', "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1" + b"0" * 19 + b"]", "more than 64 bits"),
        (b"1" * 5000, "4300 digits"),
    ],
)
def test_content_that_is_no_json_names_the_file_and_the_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(UserError, match=f"record.json cannot be read: .*{reason}"):
        read_json(tmp_path / "record.json")


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "dangling link", "missing", "too long"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300 if kind == "too long" else "file")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind in ("device", "dangling link"):
        path.symlink_to("/dev/zero" if kind == "device" else tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"{path} (is not a file|cannot be read: )"):
        read_text(path)
