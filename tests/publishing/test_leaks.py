"""What should stay private is found by file, line and kind; what is none is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.publishing.leaks import HOST, PATH, USER, Scrubber, check_leaks, find_leaks, redactions

LEAKS = [
    ("token: hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345", "Hugging Face token"),
    ("WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567", "W&B key"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "GitHub token"),
    ("key AKIAIOSFODNN7EXAMPLE", "AWS key"),
    ("sk-proj-0123456789abcdefghij", "API key"),
    ("-----BEGIN RSA PRIVATE KEY-----", "private key"),
    ("https://anna:hunter2@data.example.org/x.csv", "password in an address"),
    ('"client_secret": "correcthorse"', "secret"),
    ("dataset: /home/anna/tickets.csv", "absolute path"),
    ("a trace in /tmp/pytest-of-anna/x.py", "absolute path"),
    (r"model: C:\Users\anna\model", "absolute path"),
    ("~/data/tickets.csv", "absolute path"),
    ("s3://private-bucket/tickets", "storage address"),
    ("trained on gpu-node-17.", "host name"),
    ("by annalena", "user name"),
]
NAMES = {"gpu-node-17": HOST, "annalena": USER}


@pytest.mark.parametrize(("line", "kind"), LEAKS)
def test_each_kind_is_found_with_its_file_and_line(line: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "notes.md").write_text(f"# Notes\n\n{line}\n")
    (leak, *others) = find_leaks(tmp_path, NAMES)
    assert (leak.file, leak.line, leak.kind) == ("records/notes.md", 3, kind) and others == []


@pytest.mark.parametrize(
    "line",
    [
        "commit 0123456789abcdef0123456789abcdef01234567",
        "https://huggingface.co/home/anna/data",
        "either/or, 1/2/3, (d·r + r·k)/(d·k)/2, </think> and <a/b/c>",
        "a gpu-node-171 and an annalenas",
        "eos_token: <|endoftext|>, pad_token_id: 50256, tokens: 12345678901",
        "anna/small-gpt2 and datasets/anna/tickets",
    ],
)
def test_what_only_looks_alike_is_none(line: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(line)
    assert find_leaks(tmp_path, NAMES) == []


def test_settings_name_any_absolute_path_and_vocabularies_none(tmp_path: Path) -> None:
    for name in ("record.json", "README.md", "tokenizer.json"):
        (tmp_path / name).write_text('{"a": "/fast/nvme/x", "b": "/home/lib/x"}')
    found = {leak.file: leak.text for leak in find_leaks(tmp_path, {})}
    assert found == {"record.json": "/home/lib/x", "README.md": "/home/lib/x"}
    assert [leak.text for leak in find_leaks(tmp_path, {}) if leak.file == "record.json"][0] == "/fast/nvme/x"


def test_scripts_and_embedded_files_of_a_page_are_not_read_and_weights_neither(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>\n<script>var x = '/tmp/a/b'</script>\n/tmp/c/d</p>")
    (tmp_path / "model.safetensors").write_bytes(b"\0\0/tmp/a/b")
    assert [(leak.file, leak.line, leak.text) for leak in find_leaks(tmp_path, {})] == [("index.html", 3, "/tmp/c/d")]


def test_a_folder_is_found_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("see /fast/anna/runs/x.txt")
    assert [leak.text for leak in find_leaks(tmp_path, {"/fast/anna": PATH})] == ["/fast/anna/runs/x.txt"]


def test_one_error_lists_places_and_the_way_out_and_shows_no_secret(tmp_path: Path) -> None:
    token = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
    (tmp_path / "a.md").write_text(f"x\n{token}\n{token}\n/home/anna/x.csv\n")
    with pytest.raises(UserError) as caught:
        check_leaks(tmp_path, {})
    message = str(caught.value)
    assert "3 places" in message and "a.md:2: Hugging Face token: hf_A… (and 1 more places)" in message
    assert "a.md:4: absolute path: /home/anna/x.csv" in message and token not in message
    assert "--hub-id" in message and "--redact" in message and "revoke" in message


def test_redaction_leaves_nothing_to_find_but_secrets(tmp_path: Path) -> None:
    scrubber = Scrubber(replaced=redactions(NAMES))
    (tmp_path / "record.json").write_text(scrubber.text("\n".join(line for line, _ in LEAKS)))
    kinds = {leak.kind for leak in find_leaks(tmp_path, NAMES)}
    assert "Hugging Face token" in kinds and not kinds & {"absolute path", "host name", "user name", "storage address"}
    assert scrubber.mapping({"gpu-node-17": ["/home/anna/x", 3]}) == {"gpu-node-17": ["(redacted path)", 3]}
