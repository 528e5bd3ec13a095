"""The report as a PDF, by LaTeX."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.utils.files import atomic_path

SECONDS = 300  # of one pass: far more than a report of fifty pages takes


def write_pdf(folder: Path) -> Path:
    """Compile a report's `report.tex` and return the path of `report.pdf` beside it.

    Raises:
        UserError: LaTeX is not installed, cannot compile the report, or takes too long.
    """
    latex = shutil.which("pdflatex")
    if latex is None:
        raise UserError(
            "--pdf needs pdflatex, which was not found. Install a TeX distribution, e.g. texlive-latex-extra, "
            "or compile report.tex elsewhere."
        )
    with tempfile.TemporaryDirectory() as built:
        command = [latex, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
        for _ in range(2):  # references to tables are known from the second pass on
            try:
                done = subprocess.run(
                    [*command, f"-output-directory={built}", "report.tex"],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=SECONDS,
                )
            except subprocess.TimeoutExpired:
                raise UserError(f"pdflatex did not compile {folder / 'report.tex'} within {SECONDS} seconds.") from None
            if done.returncode:
                lines = [line for line in done.stdout.splitlines() if line.startswith("!")] or ["no error was printed"]
                raise UserError(f"pdflatex cannot compile {folder / 'report.tex'}: {lines[0]}")
        with atomic_path(folder / "report.pdf") as path:
            shutil.copyfile(Path(built) / "report.pdf", path)
    return folder / "report.pdf"
