"""The study's file stands in the report as it ran, folded, below the command that runs it again."""

from __future__ import annotations

from pathlib import Path

from synthetic import Study, make_study_runs

from hf_peft_compare.report import write_report


def test_file_and_command_stand_in_every_page(tmp_path: Path) -> None:
    text = "name: tiny-study\nmethods: {lora: {r: 4}}\n"
    folder = write_report(Study(), *make_study_runs(), tmp_path, study_file=text).parent  # type: ignore[arg-type]
    assert (folder / "records" / "study.yaml").read_text(encoding="utf-8") == text
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "hf-peft-compare run tiny-study.yaml" in page
    assert f'<details class="folded"><summary dir="auto">tiny-study.yaml</summary><pre dir="auto">{text}' in page
    for name in ("README.md", "report.tex"):
        assert "run tiny" in (folder / name).read_text(encoding="utf-8")


def test_runs_without_a_file_have_no_such_section(full: Path) -> None:
    assert 'id="study_file"' not in (full / "index.html").read_text(encoding="utf-8")
