"""A report as a PDF where LaTeX is installed, and one clear error where it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.report import pdf


@pytest.mark.latex
def test_a_report_is_compiled_beside_its_source(full: Path, pdflatex: str) -> None:
    before = {path.name for path in full.iterdir()}
    try:
        made = pdf.write_pdf(full)
        assert made.read_bytes().startswith(b"%PDF") and {path.name for path in full.iterdir()} == before | {made.name}
    finally:
        (full / "report.pdf").unlink(missing_ok=True)


def test_without_latex_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="--pdf needs pdflatex, which was not found. Install"):
        pdf.write_pdf(tmp_path)


@pytest.mark.latex
def test_what_latex_refuses_is_one_line(tmp_path: Path, pdflatex: str) -> None:
    (tmp_path / "report.tex").write_text(r"\documentclass{article}\begin{document}\nosuchcommand\end{document}")
    with pytest.raises(UserError, match="Undefined control sequence"):
        pdf.write_pdf(tmp_path)


def test_a_report_that_latex_does_not_finish_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "pdflatex"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(slow))
    monkeypatch.setattr(pdf, "SECONDS", 0.2)
    with pytest.raises(UserError, match="within 0.2 seconds"):
        pdf.write_pdf(tmp_path)
