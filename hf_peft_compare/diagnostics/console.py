"""Examinations as plain text for a terminal, and as JSON."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import fill
from typing import Any

from hf_peft_compare.diagnostics.results import DOES_NOT_APPLY, PASSED, PROBLEM, CheckResult, Examination

MARKS = {PASSED: "ok", PROBLEM: "PROBLEM", DOES_NOT_APPLY: "–"}
MAX_WIDTH = 120


def render_examination(examination: Examination) -> str:
    """Write the findings of one row: of each check the mark, the name, what was found, and what was expected."""
    title = f"{examination.row} ({examination.method}), {examination.seconds:.0f} s"
    names = max(map(len, examination.findings), default=0)
    lines = (line for name, f in examination.findings.items() for line in _lines(name.ljust(names), f))
    return "\n".join([title, *lines]) + "\n"


def _lines(name: str, finding: CheckResult) -> Iterator[str]:
    begin = f"  {MARKS[finding.status]:<7}  {name.replace('_', ' ')}  "
    width = min(shutil.get_terminal_size((MAX_WIDTH, 0)).columns, MAX_WIDTH)
    applies = finding.expected is not None
    for text in [finding.found, f"expected: {finding.expected}"] if applies else [f"does not apply: {finding.found}"]:
        yield fill(text, width, initial_indent=begin, subsequent_indent=" " * len(begin))
        begin = " " * len(begin)


def say_sum(examinations: Sequence[Examination]) -> str:
    """Say in one sentence how all rows are."""
    statuses = [finding.status for examination in examinations for finding in examination.findings.values()]
    rows = [examination.row for examination in examinations if not examination.passed]
    counted = ", ".join(f"{statuses.count(status)} {status}" for status in (PASSED, PROBLEM, DOES_NOT_APPLY))
    where = f" (in {', '.join(rows)})" if rows else ""
    return f"{len(statuses)} checks of {len(examinations)} rows: {counted}{where}"


def as_json(examinations: Sequence[Examination]) -> dict[str, Any]:
    """Give all findings as a JSON value."""
    rows = [{**asdict(examination), "passed": examination.passed} for examination in examinations]
    return {"passed": all(examination.passed for examination in examinations), "rows": rows}
