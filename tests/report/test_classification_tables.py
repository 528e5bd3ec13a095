"""A classification's tables.tex: what such reports print for each method, in a document of one's own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hf_peft_compare.records.record import read_records
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.report import write_report

DOCUMENT = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{tables.tex}\end{document}"


@pytest.fixture
def report(tiny_study: Any, train: Any, classifying: dict[str, Any], tmp_path: Path) -> Path:
    """The report of three runs on a tiny BERT."""
    keys = {**classifying, "methods": {"majority": {}, "lora": {"r": 2}, "full": {}}}
    for row in keys["methods"]:
        train(row, "training.num_train_epochs=1", folder=f"runs/{row}-seed0", **keys)
    records = read_records(tmp_path / "runs")
    predictions = {run: list(read_predictions(tmp_path / "runs" / run)) for run in records}
    return write_report(tiny_study(**keys).config, records, predictions, tmp_path / "report").parent


def test_the_tables_of_a_classification_hold_what_its_reports_print_and_compile(
    report: Path, pdflatex: str, tmp_path: Path
) -> None:
    tables = (report / "tables.tex").read_text()
    comparison = tables[tables.index("tab:comparison") : tables.index(r"\bottomrule")]
    header, *rows = [line for line in comparison.splitlines() if " & " in line]
    titles = [_words(cell) for cell in header.split(" & ")]
    assert titles[:8] == [
        *("Method", "Accuracy", "Macro F1", "Weighted F1", "Test loss"),
        *("Trainable parameters", "All parameters", "Train time (s)"),
    ]
    assert "peak" in titles[8]
    cells = {row.split(" & ")[0]: list(map(_words, row.split(" & "))) for row in rows}
    for title in ("Full fine-tuning", "LoRA"):
        assert all(re.search(r"\d", cell) for cell in cells[title][1:]), title
    assert cells["Majority class"][5:8] == ["–"] * 3, "a floor trains nothing, in no time"

    (tmp_path / "mine.tex").write_text(DOCUMENT)
    (tmp_path / "tables.tex").write_text(tables)
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "mine.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


def _words(cell: str) -> str:
    """Return a cell's words without its LaTeX."""
    cell = cell.replace("--{}", "–").replace(r"\\", " ")
    cell = re.sub(r"\\ensuremath\{.*?\}|\\shortstack\[.\]|\\textbf|\\relax|[{}~]", "", cell)
    return " ".join(cell.split())
