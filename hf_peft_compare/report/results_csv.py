"""results.csv: one line per run, raw units, nothing rounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from hf_peft_compare.comparison import RunRow

IDENTITY = ("row", "seed", "method", "title", "status", "error")
PROVENANCE = ("config_hash", "initial_trainables_sha256", "final_trainables_sha256")


def render_csv(runs: Sequence[RunRow]) -> str:
    """Return every figure of every run as CSV; unknown values are empty fields."""
    figures = list(dict.fromkeys(key for run in runs for key in run.figures))
    lines: list[list[object]] = [[*IDENTITY, *figures, *PROVENANCE]]
    lines += [[*_identity(run), *(run.figures.get(key, "") for key in figures), *_provenance(run)] for run in runs]
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(map(_inert, line) for line in lines)
    return file.getvalue()


def _identity(run: RunRow) -> list[object]:
    record = run.record
    method, title = (record.method, record.card.title) if record else ("", "")
    return [run.row, run.seed, method, title, run.status, run.error or ""]


def _provenance(run: RunRow) -> list[object]:
    return [getattr(run.record, key, None) or "" for key in PROVENANCE]


def _inert(cell: object) -> object:
    """Escape a text that a spreadsheet would run as a formula, and remove NUL and CR, which Python cannot quote."""
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\0", "").replace("\r", "\n")
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\n") else text
