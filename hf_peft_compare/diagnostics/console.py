"""Examinations as plain text for a terminal, and as JSON."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from hf_peft_compare.diagnostics.results import DOES_NOT_APPLY, PASSED, PROBLEM, Examination
from hf_peft_compare.utils.text_tables import as_text

MARKS = {PASSED: "ok", PROBLEM: "PROBLEM", DOES_NOT_APPLY: "–"}
MAX_WIDTH = 120


def render_examination(examination: Examination) -> str:
    """Render the results of one row: mark, name, found and expected values of each check."""
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    for name, result in examination.findings.items():
        applies = result.expected is not None
        found = [result.found, f"expected: {result.expected}"] if applies else [f"does not apply: {result.found}"]
        table.add_row(f"  {MARKS[result.status]:<7}", name.replace("_", " "), Text("\n".join(found)))
    width = min(shutil.get_terminal_size((MAX_WIDTH, 0)).columns, MAX_WIDTH)
    title = f"{examination.row} ({examination.method}), {examination.seconds:.0f} s"
    return f"{title}\n{as_text(table, width=width)}\n"


def summarize_examinations(examinations: Sequence[Examination]) -> str:
    """Return a one-line summary of all results."""
    statuses = [finding.status for examination in examinations for finding in examination.findings.values()]
    rows = [examination.row for examination in examinations if not examination.passed]
    counted = ", ".join(f"{statuses.count(status)} {status}" for status in (PASSED, PROBLEM, DOES_NOT_APPLY))
    where = f" (in {', '.join(rows)})" if rows else ""
    return f"{len(statuses)} checks of {len(examinations)} rows: {counted}{where}"


def as_json(examinations: Sequence[Examination]) -> dict[str, Any]:
    """Return all results as a JSON value."""
    rows = [{**asdict(examination), "passed": examination.passed} for examination in examinations]
    return {"passed": all(examination.passed for examination in examinations), "rows": rows}
