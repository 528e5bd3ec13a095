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
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*IDENTITY, *figures, *PROVENANCE])
    for run in runs:
        writer.writerow([*_identity(run), *(run.figures.get(key, "") for key in figures), *_provenance(run)])
    return file.getvalue()


def _identity(run: RunRow) -> list[object]:
    record = run.record
    method, title = (record.method, record.card.title) if record else ("", "")
    return [_inert(run.row), run.seed, _inert(method), _inert(title), run.status, _inert(run.error or "")]


def _provenance(run: RunRow) -> list[object]:
    return [getattr(run.record, key, None) or "" for key in PROVENANCE]


def _inert(text: str) -> str:
    """Escape a text that a spreadsheet would run as a formula, and remove characters that Python 3.10 cannot write."""
    text = text.replace("\0", "")
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
